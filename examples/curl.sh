#!/bin/sh
# Any language: a few lines of HTTP. Needs an instance (`npm start`).
set -eu
url="${O3Q_URL:-http://127.0.0.1:3000}"
json='content-type: application/json'
id_in() { sed 's/^[^{]*{"id":"\([^"]*\)".*/\1/'; }

# Enqueue, and wait for the result.
id=$(curl -fsS "$url/jobs" -H "$json" -d '{"question": "Why is the sky blue?"}' | id_in)
curl -fsS "$url/jobs/$id/result?wait=60"
echo

# Everything that happened to it, as it happens: server-sent events, from the beginning or after `Last-Event-ID`.
curl -fsSN "$url/jobs/$id/events"

# The same in OpenAI's words. An Idempotency-Key makes it safe to ask again.
response=$(curl -fsS "$url/v1/responses" -H "$json" -H "idempotency-key: example-$id" \
  -d '{"model": "o3", "input": "Why is the sea blue?", "background": true}' | id_in)
curl -fsSN "$url/v1/responses/$response?stream=true"
curl -fsS "$url/v1/responses/$response"
