# keyctl's completion for fish. Printed by `keyctl completion fish`.

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
