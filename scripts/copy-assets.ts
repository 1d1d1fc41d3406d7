/** The end of `npm run build`: whatever in src/ is not TypeScript (migrations, say) goes to the same place in dist/. */
import { cp } from 'node:fs/promises'

const folder = (name: string) => new URL(`../${name}/`, import.meta.url)
await cp(folder('src'), folder('dist'), { recursive: true, filter: path => !path.endsWith('.ts') })
