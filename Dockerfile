# syntax=docker/dockerfile:1

# The same Node that the tests run on (devDependencies in package.json).
FROM node:26.10.0-trixie-slim AS base
WORKDIR /opt/gatehouse

FROM base AS dependencies
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --no-audit --no-fund

FROM base AS build
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/copy-assets.ts scripts/write-sbom.ts scripts/
COPY src src
RUN npm run build && chmod 0755 dist/main.js

FROM base AS runtime
# What runs needs no package manager; whoever breaks in would.
RUN rm -rf /usr/local/lib/node_modules /usr/local/include /opt/yarn* \
      /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg \
 && ln -s /opt/gatehouse/dist/main.js /usr/local/bin/gatehouse \
 && install -d -m 0755 /etc/gatehouse \
 && install -d -m 0700 -o 1000 -g 1000 /var/lib/gatehouse
COPY --from=dependencies /opt/gatehouse/node_modules node_modules
COPY --from=build /opt/gatehouse/dist dist
COPY package.json ./
# What Node.js has compiled stays for the starts to come. It is code, so it is root's like the code: who breaks in can't change it.
RUN install -d -o 1000 -g 1000 node_modules/.cache node_modules/.cache/gatehouse \
 && echo 'backends: [{ id: local, type: local }]' > /tmp/any.yaml \
 && for command in --help 'check --config /tmp/any.yaml'; do \
      setpriv --reuid=1000 --regid=1000 --clear-groups node dist/main.js $command || exit 1; \
    done \
 && rm /tmp/any.yaml \
 && chown -R root:root node_modules/.cache \
 && chmod -R u+rwX,go+rX,go-w node_modules/.cache
ENV NODE_ENV=production
ENV GATEHOUSE_CONFIG=/etc/gatehouse/gatehouse.yaml
WORKDIR /var/lib/gatehouse
VOLUME /var/lib/gatehouse
# "node" in the base image, as numbers: Kubernetes can tell from them that this is not root.
USER 1000:1000
EXPOSE 8470
# Asks the admin listener, which speaks plain HTTP on loopback whether or not the public one has TLS.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8471/livez').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# No shell in between: the daemon is process 1 and gets the signals itself.
ENTRYPOINT ["node", "/opt/gatehouse/dist/main.js"]
CMD ["serve"]
