# One image for every process of o3-queue. The command chooses one: `docker run --rm o3-queue --help` lists them.

FROM node:24.22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No dependency needs its install script, so none is run.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json tsconfig.browser.json ./
COPY scripts scripts
COPY src src
COPY producer producer
COPY worker worker
COPY simulator simulator
COPY cli cli
RUN npm run build

FROM node:24.22-bookworm-slim
# An image needs a REDIS_URL. Without one it should say so at once, and not download a server of its own.
ENV NODE_ENV=production \
    O3Q_REDIS_DOWNLOAD=0
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY --from=build /app/dist dist
# `docker compose exec producer o3q models` then works.
RUN ln -s /app/dist/cli/main.js /usr/local/bin/o3q
USER node
EXPOSE 3000
# A worker listens where O3Q_WORKER_PORT says, and on no port without it.
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=20s \
  CMD ["node", "--eval", "fetch(`http://127.0.0.1:${process.env.O3Q_WORKER_PORT || process.env.PORT || 3000}/readyz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# The exec form: a shell in between would not pass SIGTERM on, and each deploy would end in SIGKILL.
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["--help"]
