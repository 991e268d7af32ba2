# Says how a project is when its directory is entered. Before each prompt: one comparison of strings, as long as the
# directory is the same; where it is another, a look upwards for a project file; where that is another, one command.
if status is-interactive
    set -g __runcept_pwd ''
    set -g __runcept_project ''

    function __runcept_hook --on-event fish_prompt
        if builtin test "$PWD" != "$__runcept_pwd"
            __runcept_moved
        end
    end

    # From the real directory on, as `runcept` does: $PWD may hold links. A group of `string match` sets a variable, and
    # keeps line ends; a command substitution would split the text there.
    function __runcept_moved
        set -g __runcept_pwd $PWD
        set -l place ''
        set -l found ''
        builtin pwd -P | read -lz real
        string match -rq '(?s)\A(?<place>.*?)/?\n\z' -- "$real"
        while true
            if builtin test -e "$place/.runcept.toml" -o -L "$place/.runcept.toml"
                set found "$place/"
                break
            else if builtin test -z "$place"
                break
            end
            string match -rq '(?s)\A(?<place>.*)/' -- "$place"
            or break
        end
        if builtin test "$found" != "$__runcept_project"
            set -g __runcept_project "$found"
            if builtin test -n "$found" -a -x "$__runcept_command"
                $__runcept_command hook fish --enter "$found" </dev/null
            end
        end
    end
end
