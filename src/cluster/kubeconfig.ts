/** Adds this cluster's context to the user's kubeconfig and takes it out again, leaving every other entry and comment as it was. */
import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { type Document, isMap, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml';
import { UserError } from '../base/user-error.ts';

type Section = 'clusters' | 'users' | 'contexts';

/** `--kubeconfig`, else the first file of $KUBECONFIG, else ~/.kube/config. */
export function kubeconfigPath(flag: string | undefined): string {
  return resolve(flag ?? process.env.KUBECONFIG?.split(delimiter).find(Boolean) ?? join(process.env.HOME ?? homedir(), '.kube/config'));
}

/** Merges the entries of `source` (a kubeconfig with one cluster, user and context) under `context` and makes it current. */
export function mergeKubeconfig(file: string, context: string, source: string): void {
  const from = parseDocument(readFileSync(source, 'utf8'));
  change(file, (document) => {
    const entries: Record<Section, unknown> = {
      clusters: { cluster: valueOf(from, 'clusters', 'cluster') }, users: { user: valueOf(from, 'users', 'user') },
      contexts: { context: { cluster: context, user: context } },
    };
    for (const section of ['clusters', 'users', 'contexts'] as const) {
      const list = sectionOf(document, section);
      const entry = document.createNode({ name: context, ...entries[section] as object });
      const at = list.items.findIndex((item) => isMap(item) && item.get('name') === context);
      if (at < 0) list.add(entry); else list.items[at] = entry;
    }
    document.set('current-context', context);
  });
}

/** Removes the entries named `context`. True if the file had any. */
export function removeFromKubeconfig(file: string, context: string): boolean {
  if (!existsSync(file)) return false;
  let removed = false;
  change(file, (document) => {
    for (const section of ['clusters', 'users', 'contexts'] as const) {
      const list = sectionOf(document, section);
      const kept = list.items.filter((item) => !(isMap(item) && item.get('name') === context));
      removed ||= kept.length < list.items.length;
      list.items = kept;
    }
    if (document.get('current-context') === context) document.set('current-context', '');
    return removed;
  });
  return removed;
}

function valueOf(document: Document, section: Section, key: string): unknown {
  const value = document.getIn([section, 0, key]);
  return isMap(value) ? value.toJSON() as unknown : value;
}

function sectionOf(document: Document, section: Section): YAMLSeq<YAMLMap> {
  const list = document.get(section);
  if (isSeq(list)) return list as YAMLSeq<YAMLMap>;
  const fresh = document.createNode([]) as unknown as YAMLSeq<YAMLMap>;
  document.set(section, fresh);
  return fresh;
}

/** Reads, changes and replaces the file atomically; `edit` returning false leaves it alone. Follows symbolic links. */
function change(file: string, edit: (document: Document) => boolean | void): void {
  const exists = existsSync(file);
  const document = parseDocument(exists ? readFileSync(file, 'utf8') : '');
  if (document.errors.length > 0 || (document.contents !== null && !isMap(document.contents))) {
    throw new UserError(`${file} is not a valid kubeconfig (${document.errors[0]?.message.split('\n')[0] ?? 'not a mapping'}). Mend it, or choose another file with --kubeconfig.`);
  }
  if (document.contents === null) (document as Document).contents = document.createNode({ apiVersion: 'v1', kind: 'Config', preferences: {}, clusters: [], users: [], contexts: [], 'current-context': '' });
  if (edit(document) === false) return;
  const target = exists ? realpathSync(file) : file;
  mkdirSync(dirname(target), { recursive: true, mode: 0o750 });
  writeFileSync(`${target}.knarr-new`, document.toString({ lineWidth: 0 }), { mode: 0o600 });
  chmodSync(`${target}.knarr-new`, 0o600);
  renameSync(`${target}.knarr-new`, target);
}
