import { commands, type Command } from '../main.ts';
import { UserError } from '../../base/user-error.ts';

export const command: Command = {
  summary: 'prints shell completion: source <(knarr completion bash)', operands: 'bash|zsh|fish', flags: {},
  async run({ operands: [shell] }) {
    const words: Record<string, string[]> = {};
    for (const [name, load] of Object.entries(commands)) words[name] = Object.keys((await load()).command.flags).map((flag) => `--${flag}`);
    const names = Object.keys(words).join(' ');
    const cases = Object.entries(words).map(([name, flags]) => `    ${name}) words="${flags.join(' ')}" ;;`).join('\n');
    const bash = `_knarr() {
  local words="${names}"
  if [ "$COMP_CWORD" -gt 1 ]; then case "\${COMP_WORDS[1]}" in
${cases}
    *) words="" ;;
  esac; fi
  case "$2" in -*) ;; *) [ "$COMP_CWORD" -gt 1 ] && COMPREPLY=($(compgen -f -- "$2")) && return ;; esac
  COMPREPLY=($(compgen -W "$words" -- "$2"))
}
complete -F _knarr knarr ./knarr`;
    if (shell === 'bash') console.log(bash);
    else if (shell === 'zsh') console.log(`autoload -U +X bashcompinit && bashcompinit\n${bash}`);
    else if (shell === 'fish') {
      console.log(`complete -c knarr -n __fish_use_subcommand -f -a "${names}"`);
      for (const [name, flags] of Object.entries(words)) for (const flag of flags) console.log(`complete -c knarr -n "__fish_seen_subcommand_from ${name}" -l ${flag.slice(2)}`);
    } else throw new UserError('say which shell: knarr completion bash, zsh or fish', { exitCode: 2 });
  },
};
