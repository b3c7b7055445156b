# What the scenarios share. Sourced by each; ends with 0 only where every expectation held.
set -uo pipefail
umask 022
W=$(mktemp -d "${TMPDIR:-/tmp}/difusor-scenario-XXXXXX")
PIDS=()
BAD=0

finish() {
	for pid in "${PIDS[@]}"; do
		kill -9 "$pid" 2>/dev/null
	done
	rm -rf "$W"
}
trap finish EXIT

fail() {
	BAD=$((BAD + 1))
	echo "FAILED (line ${BASH_LINENO[1]}): $*" >&2
}

expect() { # CODE COMMAND...: the command ends with that code; its output is in $W/out and $W/err
	local want=$1 got=0
	shift
	"$@" >"$W/out" 2>"$W/err" || got=$?
	if [ $got != "$want" ]; then
		fail "'$*' ended with $got, not $want"
		sed 's/^/  out: /' "$W/out" | tail -20 >&2
		sed 's/^/  err: /' "$W/err" | tail -20 >&2
	fi
}

says() { # WORDS...: the last command said them
	grep -qF -- "$*" "$W/out" "$W/err" || {
		fail "'$*' was not said"
		cat "$W/out" "$W/err" >&2
	}
}

same() { # WHAT A B
	[ "$2" = "$3" ] || fail "$1: '$2' is not '$3'"
}

json() { # EXPRESSION: of the JSON in $W/out, as d
	python3 -c "import json,sys; d=json.load(open('$W/out')); print($1)"
}

until_true() { # SECONDS COMMAND...: repeats until it succeeds
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { fail "never came true: $*"; return 1; }
		sleep 0.1
	done
}

config() { # NAME...: a rehearsal with a dir destination for each
	mkdir -p "$W/etc"
	{
		printf '[agent]\nstate = %s/state\nplugins = %s\nprofile = rehearsal\n' "$W" "$PLUGINS_D"
		for name in "$@"; do
			printf '\n[store %s]\nplugin = dir\nroot = %s/%s\n' "$name" "$W" "$name"
			printf '\n[destination %s]\nstore = %s\ngrace = 0s\n' "$name" "$name"
		done
	} >"$W/etc/difusor.ini"
	C="--config=$W/etc/difusor.ini"
}

make_cut() { # N FILE [SCALE]
	"$DIFUSOR" simulate --cut "$1" --scale "${3:-tiny}" -o "$2" --sidecar >/dev/null
}

same_as_zip() { # FOLDER FILE.zip: the same files, byte for byte, and no other
	rm -rf "$W/unzipped"
	mkdir "$W/unzipped"
	unzip -q "$2" -d "$W/unzipped"
	diff -r "$W/unzipped" "$1" >"$W/diff" 2>&1 || {
		fail "$1 is not what is in $2"
		head -20 "$W/diff" >&2
	}
}

done_here() {
	[ $BAD = 0 ] || exit 1
	exit 0
}
