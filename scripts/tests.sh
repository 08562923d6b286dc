#!/bin/sh
# All tests, or those that pytest's arguments name: three at a time; then, two at a time ("paired") or one by one
# ("alone"), those that hold pictures and sound against the clock. Fails if any of them fails, or if there are none.
set -u
none=5 # pytest's code for no tests
result=$none
run() {
    .venv/bin/python -m pytest "$@"
    code=$?
    if [ $code -ne $none ] && { [ $result -eq 0 ] || [ $result -eq $none ]; }; then
        result=$code
    fi
}

# The files with tests of a mark, unless the arguments name some: to look into all of them takes a quarter of a minute.
files="$*"
marked() {
    case " $files " in
    *" tests"*) ;;
    *) grep -rlE --include='test_*.py' "mark\.$1\b" tests | sort -r ;;
    esac
}

run -n 3 --dist loadgroup --no-loadscope-reorder -m "not paired and not alone" "$@"
# shellcheck disable=SC2046
run -n 2 --dist loadgroup --no-loadscope-reorder -m paired "$@" $(marked paired)
# shellcheck disable=SC2046
run -m alone "$@" $(marked alone)
exit $result
