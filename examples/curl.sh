#!/bin/sh
# Any language: three lines of HTTP. Needs an instance (`npm start`).
set -eu
url="${O3Q_URL:-http://127.0.0.1:3000}"

job=$(curl -fsS "$url/jobs" -H 'content-type: application/json' -d '{"question": "Why is the sky blue?"}')
id=$(printf '%s' "$job" | sed 's/.*"id":"\([^"]*\)".*/\1/')
curl -fsS "$url/jobs/$id/result?wait=60"
