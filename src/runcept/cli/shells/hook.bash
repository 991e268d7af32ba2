# Says how a project is when its directory is entered. Before each prompt: one comparison of strings, as long as the
# directory is the same; where it is another, a look upwards for a project file; where that is another, one command.
if [[ $- == *i* ]]; then
    __runcept_pwd='' __runcept_project=''

    __runcept_hook() {
        local __runcept_previous=$?
        if [[ ${PWD-} != "$__runcept_pwd" ]]; then
            __runcept_moved
        fi
        return "$__runcept_previous" # what comes after us asks for it as well
    }

    # Upwards by `..`, which the system follows from the real directory on, as `runcept` does: $PWD may hold links.
    __runcept_moved() {
        __runcept_pwd=${PWD-}
        local __runcept_up=.
        while [[ ! -e $__runcept_up/.runcept.toml && ! -L $__runcept_up/.runcept.toml ]]; do
            if [[ $__runcept_up -ef / || ! -d $__runcept_up/.. ]]; then
                __runcept_project=''
                return
            fi
            __runcept_up+=/..
        done
        if [[ -z $__runcept_project || ! $__runcept_up -ef $__runcept_project ]]; then
            __runcept_project=$__runcept_pwd/$__runcept_up
            if [[ -x $__runcept_command ]]; then
                "$__runcept_command" hook bash --enter "$__runcept_up" </dev/null
            fi
        fi
    }

    # `&& :` keeps a status that is not 0, and with `set -e` ends no shell for it. A new line ends whatever is there, be
    # it a `;` or a comment.
    if [[ "${PROMPT_COMMAND[*]-}" != *__runcept_hook* ]]; then
        if (( BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501 )) &&
            [[ $(declare -p PROMPT_COMMAND 2>/dev/null) == 'declare -a'* ]]; then
            PROMPT_COMMAND+=('__runcept_hook && :')
        else
            PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}'__runcept_hook && :'
        fi
    fi
fi
