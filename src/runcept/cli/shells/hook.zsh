# Says how a project is when its directory is entered. Before each prompt: one comparison of strings, as long as the
# directory is the same; where it is another, a look upwards for a project file; where that is another, one command.
if [[ -o interactive ]]; then
    typeset -g __runcept_pwd='' __runcept_project=''

    __runcept_hook() {
        if [[ $PWD != "$__runcept_pwd" ]]; then
            __runcept_moved
        fi
    }

    # Upwards by `..`, which the system follows from the real directory on, as `runcept` does: $PWD may hold links.
    __runcept_moved() {
        __runcept_pwd=$PWD
        local up=.
        while [[ ! -e $up/.runcept.toml && ! -L $up/.runcept.toml ]]; do
            if [[ $up -ef / || ! -d $up/.. ]]; then
                __runcept_project=''
                return 0
            fi
            up+=/..
        done
        if [[ -z $__runcept_project || ! $up -ef $__runcept_project ]]; then
            __runcept_project=$PWD/$up
            if [[ -x $__runcept_command ]]; then
                "$__runcept_command" hook zsh --enter "$up" </dev/null || :
            fi
        fi
    }

    autoload -Uz add-zsh-hook
    add-zsh-hook precmd __runcept_hook
fi
