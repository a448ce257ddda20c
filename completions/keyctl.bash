# keyctl's completion for bash. Printed by `keyctl completion bash`.

_keyctl() {
    local program=${1/#\~\//$HOME/} answer kind value text described= width=0 i IFS=$'\n'
    local -a texts=()
    COMPREPLY=()
    type -P -- "$program" >/dev/null || program=keyctl # an alias
    answer=$(_KEYCTL_COMPLETE=complete_bash _KEYCTL_LINE=${COMP_LINE:0:COMP_POINT} \
        _KEYCTL_REST=${COMP_LINE:COMP_POINT} _KEYCTL_WORD=$2 "$program" </dev/null 2>/dev/null)
    {
        read -r kind
        while read -r value; do
            text=${value#*$'\t'}
            [[ $value == *$'\t'* ]] || text=
            value=${value%%$'\t'*}
            # inside quotes bash quotes by itself
            if [[ $value == *[!a-zA-Z0-9_.,:/@%+=-]* && ${COMP_WORDS[COMP_CWORD]} != [\"\']* ]]; then
                printf -v value %q "$value"
            fi
            COMPREPLY+=("$value")
            texts+=("$text")
            described+=$text
            ((${#value} > width)) && width=${#value}
        done
    } <<<"$answer"
    if [[ $kind == files ]]; then
        if ((${#COMPREPLY[@]})); then
            compopt -o filenames 2>/dev/null
            while read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "$2")
        else
            compopt -o default 2>/dev/null # readline's own: it knows ~ and quotes
        fi
    elif ((${#COMPREPLY[@]} > 1)) && [[ $described && " 33 63 64 " == *" $COMP_TYPE "* ]]; then
        # only listed, not inserted: there is room for what each one is, one a line
        for i in "${!COMPREPLY[@]}"; do
            printf -v text '%-*s  %-*s' "$width" "${COMPREPLY[i]}" "$((${COLUMNS:-80} / 2))" "${texts[i]}"
            COMPREPLY[i]=${text:0:${COLUMNS:-80}-2}
        done
    fi
}

complete -F _keyctl keyctl apikeyctl
