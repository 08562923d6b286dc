#!/bin/sh
# All tests, or those that pytest's arguments name: three at a time, then, one by one, those that hold pictures and sound
# against the clock ("alone"). Fails if either fails, or if there are none.
set -u
run() {
    .venv/bin/python -m pytest "$@"
}

run -n 3 --dist loadgroup -m "not alone" "$@"
together=$?
run -m alone "$@"
alone=$?
none=5 # pytest's code for no tests
if [ $together -ne 0 ] && [ $together -ne $none ]; then
    exit $together
fi
if [ $alone -eq $none ]; then
    exit $together
fi
exit $alone
