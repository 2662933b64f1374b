/** The host's resolvers. Source: resolv.conf(5); behind systemd-resolved's stub (127.0.0.53) its own list is the real one. */
import { readFile } from 'node:fs/promises';

export interface ResolvConf { nameservers: string[]; search: string[]; options: string[] }

export function parseResolvConf(text: string): ResolvConf {
  const conf: ResolvConf = { nameservers: [], search: [], options: [] };
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.replace(/[#;].*$/, '').trim().split(/\s+/);
    if (keyword === 'nameserver' && values[0]) conf.nameservers.push(values[0]);
    else if (keyword === 'search' || keyword === 'domain') conf.search = values;
    else if (keyword === 'options') conf.options.push(...values);
  }
  return conf;
}

/** The path whose resolvers a pod network can reach: systemd-resolved's list in place of its loopback stub. */
export async function hostResolvConf(): Promise<{ path: string; conf: ResolvConf }> {
  const path = '/etc/resolv.conf', behindStub = '/run/systemd/resolve/resolv.conf';
  const conf = parseResolvConf(await readFile(path, 'utf8').catch(() => ''));
  if (conf.nameservers.length > 0 && conf.nameservers.every((server) => server.startsWith('127.'))) {
    const real = await readFile(behindStub, 'utf8').catch(() => undefined);
    if (real !== undefined) return { path: behindStub, conf: parseResolvConf(real) };
  }
  return { path, conf };
}
