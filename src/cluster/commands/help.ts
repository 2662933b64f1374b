import { commands, type Command } from '../main.ts';
import { UserError } from '../../base/user-error.ts';

export const command: Command = {
  summary: 'what knarr can do, or a command\'s flags', operands: 'COMMAND', flags: {},
  async run({ operands: [name] }) {
    if (name === undefined) {
      console.log('knarr: a complete Kubernetes in one command\n\nusage: knarr COMMAND [flags]\n');
      for (const [each, load] of Object.entries(commands)) console.log(`  ${each.padEnd(12)}${(await load()).command.summary}`);
      console.log('\nknarr help COMMAND tells its flags.');
      return;
    }
    const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (!load) throw new UserError(`there is no command "${name}". See: knarr help`, { exitCode: 2 });
    const found = (await load()).command;
    console.log(`knarr ${name}: ${found.summary}\n\nusage: knarr ${name}${Object.keys(found.flags).length > 0 ? ' [flags]' : ''}${found.operands ? ` ${found.operands}` : ''}`);
    if (Object.keys(found.flags).length > 0) console.log();
    for (const [flag, { short, value, help }] of Object.entries(found.flags)) {
      console.log(`  ${`${short ? `-${short}, ` : ''}--${flag}${value ? ` ${value}` : ''}`.padEnd(30)}${help}`);
    }
  },
};
