# One image for every process of o3-queue. The command chooses one: `docker run --rm o3-queue --help` lists them.

FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No dependency needs its install script, so none is run.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY producer producer
COPY worker worker
COPY simulator simulator
COPY cli cli
RUN npm run build

FROM node:20-bookworm-slim
# An image needs a REDIS_URL. Without one it should say so at once, and not download a server of its own.
ENV NODE_ENV=production \
    O3Q_REDIS_DOWNLOAD=0
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY --from=build /app/dist dist
USER node
EXPOSE 3000
# The exec form: a shell in between would not pass SIGTERM on, and each deploy would end in SIGKILL.
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["--help"]
