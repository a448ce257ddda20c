"""The completion scripts for bash, zsh and fish, and where each shell looks for its own.

Each runs the program that was typed, once, and leaves quoting to its shell. `keyctl.cli.completion_answers` describes
what the scripts pass and read.
"""

from __future__ import annotations

import os
from pathlib import Path

from keyctl.errors import UsageError, suggestion
from keyctl.text import brief

_BASH = r"""# keyctl's completion for bash. Printed by `keyctl completion bash`.

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
"""

_ZSH = r"""#compdef keyctl apikeyctl
# keyctl's completion for zsh. Printed by `keyctl completion zsh`.

_keyctl() {
    local program=${words[1]/#\~\//$HOME/} kind
    local -a answer
    whence -p -- "$program" >/dev/null || program=keyctl # an alias
    answer=("${(@f)$(_KEYCTL_COMPLETE=complete_zsh _KEYCTL_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" \
        _KEYCTL_REST=" ${(j: :)words[CURRENT+1,-1]}" "$program" </dev/null 2>/dev/null)}")
    kind=${answer[1]}
    shift answer
    local found=1
    ((${#answer})) && _describe -t values value answer && found=0
    if [[ $kind == files ]]; then
        compset -P '--*='
        _files && found=0
    fi
    return found
}

if [[ ${funcstack[1]} == _keyctl ]]; then
    _keyctl "$@"
else
    compdef _keyctl keyctl apikeyctl
fi
"""

_FISH = r"""# keyctl's completion for fish. Printed by `keyctl completion fish`.

function __keyctl_complete
    set -l before (commandline -cp | string collect)
    set -l whole (commandline -p | string collect)
    set -l rest (string sub --start (math (string length -- "$before") + 1) -- "$whole")
    set -l program (commandline -opc | string match --invert --regex '^\w+=' | string replace --regex '^~/' "$HOME/")[1]
    type -fq -- $program; or set program keyctl # an alias
    set -l answer (env _KEYCTL_COMPLETE=complete_fish _KEYCTL_LINE="$before" _KEYCTL_REST="$rest" \
        $program </dev/null 2>/dev/null)
    set -l kind $answer[1]
    set -e answer[1]
    set -q answer[1]; and printf '%s\n' $answer
    if test "$kind" = files
        set -l word (commandline -ct)
        set -l option (string match --regex '^--[^=]*=' -- $word)
        __fish_complete_path (string replace -- "$option" '' $word) | string replace --regex '^' -- "$option"
    end
end

for name in keyctl apikeyctl
    complete --command $name --erase # this file may be read under either name
    complete --command $name --no-files --arguments '(__keyctl_complete)'
end
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
SHELLS = tuple(_SCRIPTS)
MARK = "# keyctl's completion for "  # what every version of the scripts has held
# What is left to do once the script is in its `folder`.
AFTER = {
    "bash": "open a new shell to use it; bash loads it if the package bash-completion is installed",
    "zsh": "if it is not there yet, add this line to ~/.zshrc above compinit: fpath=({folder} $fpath)",
    "fish": "open a new shell to use it",
}


def script(shell: str) -> str:
    """Return a shell's script. Raises UsageError for a shell that keyctl does not know."""
    if shell not in _SCRIPTS:
        known = f"known: {', '.join(_SCRIPTS)}"
        raise UsageError(
            f'no completion for the shell "{brief(shell)}"', hint=suggestion(shell, _SCRIPTS, otherwise=known)
        )
    return _SCRIPTS[shell]


def place(shell: str, *, program: str) -> Path:
    """Return the user's own file for a shell's script. bash and fish look for one by the name that is typed."""
    name = "apikeyctl" if program == "apikeyctl" else "keyctl"
    if shell == "bash":
        own = os.environ.get("BASH_COMPLETION_USER_DIR")
        return (
            (Path(own) if own else _folder("XDG_DATA_HOME", ".local/share") / "bash-completion") / "completions" / name
        )
    if shell == "zsh":
        return _folder("XDG_DATA_HOME", ".local/share") / "zsh/site-functions/_keyctl"
    return _folder("XDG_CONFIG_HOME", ".config") / f"fish/completions/{name}.fish"


def _folder(variable: str, default: str) -> Path:
    """Return a folder of the XDG base directories, which the shells use on macOS too."""
    given = Path(os.environ.get(variable, ""))
    return given if given.is_absolute() else Path.home() / default
