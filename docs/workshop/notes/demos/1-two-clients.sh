#!/usr/bin/env bash
# Two clients of a server that serves one after the other, and of one with a task per client.
set -euo pipefail
# A get of "DiskType": length, protobuf, footer.
request='\x11\x00\x00\x00\x0a\x08DiskType\x18\x01@EOF@'
out="$(mktemp -d)"
server=""
trap 'kill $server 2>/dev/null || true; rm -rf "$out"' EXIT

for model in blocking async; do
    target/debug/flavors serve --model "$model" --bind 127.0.0.1:0 >"$out/$model.log" 2>/dev/null &
    server=$!
    until grep -qs "^listening on" "$out/$model.log"; do
        kill -0 "$server"
        sleep 0.05
    done
    port="$(sed -n 's/^listening on .*://p' "$out/$model.log")"
    echo "$model"
    # The first client connects, and sends nothing.
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    # The second one asks, and gives up after two seconds without an answer.
    printf "$request" | nc -w 2 127.0.0.1 "$port" >"$out/answer" || true
    echo "  the first client is connected: the second one got $(wc -c <"$out/answer") bytes"
    exec 3>&-
    # The answer is 21 bytes: the key is not set.
    printf "$request" | nc -N 127.0.0.1 "$port" >"$out/answer"
    echo "  the first client is gone: the second one got $(wc -c <"$out/answer") bytes"
    kill "$server"
    wait "$server" || true
done
