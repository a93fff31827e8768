#!/bin/bash
# Ready while the champion has a version that is AVAILABLE. The status page answers 200 in any state, so its text is read.
# Bash speaks HTTP by itself: the image of TensorFlow Serving has no client.
set -u
exec 3<>"/dev/tcp/127.0.0.1/${REST_PORT:-8501}" || exit 1
printf 'GET /v1/models/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "${ALMANAC_MODEL:?name of the model}" >&3
answer=$(timeout 3 cat <&3)
[[ $answer =~ \"state\":\ *\"AVAILABLE\" ]]
