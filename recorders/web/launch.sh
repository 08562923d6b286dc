#!/bin/sh
# Becomes the command of CAGE_COMMAND, a word a line, with the arguments given: playwright starts one file only.
umask 077
echo $$ > "$CAGE_PID"
IFS='
'
set -f
command=$CAGE_COMMAND
unset CAGE_COMMAND CAGE_PID
exec $command "$@"
