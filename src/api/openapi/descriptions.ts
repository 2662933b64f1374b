/**
 * Texts for `kubectl explain`: upstream's own, read from the doc comments of npm packages that ship them, on first use and only for OpenAPI.
 * `kubernetes-types` (1 MB, every field, some versions behind) is meant for users; `@kubernetes/client-node` (current, but without texts for
 * fields that refer to other types) is at hand in development and wins where both speak. Without either the documents have no descriptions.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { allGroupVersions } from '../schema.ts';
import { definitionName, type Descriptions } from './definitions.ts';

type Texts = Record<string, Record<string, string>>;

let loaded: { descriptions: Descriptions | undefined } | undefined;

/** Undefined when no package with texts is installed. Read once per process. */
export function loadDescriptions(): Descriptions | undefined {
  loaded ??= { descriptions: readDescriptions(folderOf('kubernetes-types'), folderOf('@kubernetes/client-node')) };
  return loaded.descriptions;
}

function folderOf(packageName: string): string | undefined {
  for (const paths of createRequire(import.meta.url).resolve.paths(packageName) ?? []) {
    const folder = join(paths, packageName);
    try { readFileSync(join(folder, 'package.json')); return folder; } catch { /* the next one */ }
  }
  return undefined;
}

/** Folders of the two packages, where there are any. */
export function readDescriptions(kubernetesTypes: string | undefined, clientNode: string | undefined): Descriptions | undefined {
  const out: Texts = {};
  if (kubernetesTypes) {
    for (const { key } of allGroupVersions()) merge(out, readFileOf(join(kubernetesTypes, `${key}.d.ts`)), (name) => `${key}.${name}`);
  }
  if (clientNode) {
    const models = join(clientNode, 'dist/gen/models');
    let files: string[] = [];
    try { files = readdirSync(models).filter((file) => /^[A-Z]\w*V\d+[A-Z]\w*\.d\.ts$|^V\d+[A-Z]\w*\.d\.ts$/.test(file)); } catch { /* another layout: no texts from here */ }
    const known = modelNames();
    for (const file of files) {
      const types = known.get(file.slice(0, -'.d.ts'.length));
      if (types) for (const type of types) merge(out, readFileOf(join(models, file)), () => type);
    }
  }
  return Object.keys(out).length > 0 ? out : undefined;
}

/** 'V1Pod' → core/v1.Pod; 'CoreV1Event' where several groups have an Event. A name shared by groups is listed for each; only its owner has the file. */
function modelNames(): Map<string, string[]> {
  const out = new Map<string, string[]>();
  const add = (model: string, type: string) => { const list = out.get(model); if (list) list.push(type); else out.set(model, [type]); };
  for (const { key, specs } of allGroupVersions()) {
    const [folder = '', version = ''] = key.split('/');
    for (const name of Object.keys(specs)) {
      add(`${version.toUpperCase()}${name}`, `${key}.${name}`);
      add(`${folder[0]!.toUpperCase()}${folder.slice(1)}${version.toUpperCase()}${name}`, `${key}.${name}`);
    }
  }
  return out;
}

function merge(into: Texts, texts: Texts, typeOfName: (name: string) => string): void {
  for (const [name, fields] of Object.entries(texts)) {
    const definition = definitionName(typeOfName(name));
    into[definition] = { ...into[definition], ...fields };
  }
}

const declaration = /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?(?:export (?:declare class|interface|type) (\w+)|^\s*['"]?([\w$-]+)['"]?\??:)/gm;

/** Type → field → text; '' for the type itself. */
function readFileOf(path: string): Texts {
  let text: string;
  try { text = readFileSync(path, 'utf8'); } catch { return {}; }
  const out: Texts = {};
  let current: Record<string, string> | undefined;
  for (const [, comment, type, field] of text.matchAll(declaration)) {
    const words = comment?.split('\n').map((line) => line.replace(/^\s*\*?\s?/, '').trimEnd()).join('\n').trim().replaceAll('*\\/', '*/').replaceAll('\\"', '"');
    if (type) { current = out[type] = {}; if (words) current[''] = words; } else if (field && words && current) current[field] = words;
  }
  return out;
}
