import type { FastifyInstance } from 'fastify'

/** Everything there is to measure, as text for a scraper. */
export type ReadMetrics = () => Promise<{ readonly contentType: string; readonly text: string }>

/** GET /metrics of the admin listener. */
export function metricsRoute(app: FastifyInstance, metrics: ReadMetrics): void {
  app.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await metrics()
    return reply.header('content-type', contentType).send(text)
  })
}
