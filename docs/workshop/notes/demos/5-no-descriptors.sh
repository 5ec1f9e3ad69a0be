#!/usr/bin/env bash
# An echo server that runs out of descriptors: it logs once, serves those it has, and accepts again.
set -euo pipefail
out="$(mktemp -d)"
server=""
trap 'kill $server 2>/dev/null || true; rm -rf "$out"' EXIT

prlimit --nofile=32:32 target/debug/echo-server --max-connections 100 127.0.0.1:0 >"$out/log" 2>"$out/errors" &
server=$!
until grep -q '^listening on' "$out/log"; do
    kill -0 "$server"
    sleep 0.05
done
port="$(sed -n 's/^listening on .*://p' "$out/log")"

clients=()
for ((n = 0; n < 60; n++)); do
    exec {fd}<>"/dev/tcp/127.0.0.1/$port"
    clients+=("$fd")
done
for ((n = 0; n < 200; n++)); do
    grep -q "accept failed" "$out/errors" && break
    sleep 0.05
done
echo "60 clients connected, 32 descriptors"
printf x >&"${clients[0]}"
read -r -N 1 -t 20 byte <&"${clients[0]}"
echo "the first client got: $byte"
echo "lines about accept: $(grep -c 'accept failed' "$out/errors")"

for ((n = 0; n < 59; n++)); do
    fd="${clients[n]}"
    exec {fd}>&-
done
printf y >&"${clients[59]}"
read -r -N 1 -t 20 byte <&"${clients[59]}"
echo "the others are gone, the last client got: $byte"
kill "$server"
wait "$server"
echo "the server ended with status $?"
