# tests/examples/talk.bash: sourced by tests that talk with a program: they go on when it has said
# something, and look at all that it said.  Works in a directory of its own.
room=$(mktemp -d) || exit 2
program=
cd "$room" || exit 2
unset SCOPE_WORKERS SCOPE_SEED
count=0

# leave SIGNAL: for the trap of EXIT, with what ends the program and those it started.
leave() {
	[ -z "$program" ] || kill "-$1" "$program" 2>/dev/null
	wait
	rm -rf "$room"
}

# result NAME STATUS WANT [WORDS]: how the program ended, and words in "out", as one line.
result() {
	local name=$1 got=$2 want=$3 words=${4:-}
	count=$((count + 1))
	if [ "$got" -eq "$want" ] && { [ -z "$words" ] || tr '\n' ';' <out | grep -qE "$words"; }
	then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		sed 's/^/# /' out
		echo "# status $got"
	fi
}

# begin COMMAND...: its output is read through a pipe.
begin() {
	rm -f said
	mkfifo said
	"$@" >said 2>errors &
	program=$!
	exec 3<said
	: >out
}

wait_for() {
	local line

	while IFS= read -r -t 60 line <&3; do
		echo "$line" >>out
		[[ $line != $1* ]] || return 0
	done
}

end() {
	cat <&3 >>out
	exec 3<&-
	wait $program
	status=$?
	program=
	cat errors >>out
}
