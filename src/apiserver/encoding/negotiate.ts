/** What form an answer takes, from Accept. Source: apiserver/pkg/endpoints/handlers/negotiation; Kubernetes API concepts, "Receiving resources as Tables". */
import { notAcceptable } from '../../api/meta/status.ts';

export type Encoding = 'json' | 'yaml' | 'protobuf';
export interface Form {
  encoding: Encoding;
  /** Another kind than the object's own. */
  as: 'Table' | 'PartialObjectMetadata' | undefined;
  /** meta.k8s.io/v1 or v1beta1, for `as`. */
  metaVersion: string;
  /** Of aggregated discovery: 'v2' or 'v2beta1'. */
  discovery: string | undefined;
}

const mediaTypes: Readonly<Record<string, Encoding>> = {
  'application/json': 'json', 'application/yaml': 'yaml', 'application/vnd.kubernetes.protobuf': 'protobuf', '*/*': 'json', 'application/*': 'json',
};
export const contentTypes: Readonly<Record<Encoding, string>> = { json: 'application/json', yaml: 'application/yaml', protobuf: 'application/vnd.kubernetes.protobuf' };
const plainJson: Form = { encoding: 'json', as: undefined, metaVersion: 'v1', discovery: undefined };

export interface Offer {
  /** Tables and partial metadata can be made. */
  transforms: boolean;
  protobuf: boolean;
  discovery?: boolean;
}

/** Parsed headers, since clients repeat a few. */
const parsed = new Map<string, Clause[]>();
const parsedLimit = 1000;
interface Clause { mediaType: string; params: Readonly<Record<string, string>>; quality: number }

function parseAccept(header: string): Clause[] {
  let clauses = parsed.get(header);
  if (clauses) return clauses;
  clauses = header.split(',').map((part) => {
    const [mediaType = '', ...rest] = part.split(';').map((text) => text.trim());
    const params: Record<string, string> = {};
    for (const param of rest) {
      const equals = param.indexOf('=');
      if (equals > 0) params[param.slice(0, equals).toLowerCase()] = param.slice(equals + 1).replace(/^"|"$/g, '');
    }
    const quality = params.q === undefined ? 1 : Number(params.q);
    return { mediaType: mediaType.toLowerCase(), params, quality: Number.isNaN(quality) ? 1 : quality };
  }).filter(({ mediaType, quality }) => mediaType !== '' && quality > 0);
  clauses.sort((a, b) => b.quality - a.quality);
  if (parsed.size >= parsedLimit) parsed.clear();
  parsed.set(header, clauses);
  return clauses;
}

/** Throws 406 when nothing matches. */
export function negotiate(accept: string, offer: Offer): Form {
  if (accept === '' || accept === 'application/json' || accept === '*/*') return plainJson;
  for (const { mediaType, params } of parseAccept(accept)) {
    const encoding = mediaTypes[mediaType];
    if (!encoding || (encoding === 'protobuf' && !offer.protobuf)) continue;
    const { as, v, g } = params;
    if (as === undefined || as === '') return { ...plainJson, encoding };
    if (as === 'APIGroupDiscoveryList') {
      if (offer.discovery && g === 'apidiscovery.k8s.io' && (v === 'v2' || v === 'v2beta1') && encoding === 'json') return { ...plainJson, discovery: v };
      continue;
    }
    if (!offer.transforms || g !== 'meta.k8s.io' || (v !== 'v1' && v !== 'v1beta1')) continue;
    // Tables do not exist in protobuf; a clause that asks for one is passed over.
    if (encoding === 'protobuf') continue;
    if (as === 'Table') return { encoding, as, metaVersion: v, discovery: undefined };
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') return { encoding, as: 'PartialObjectMetadata', metaVersion: v, discovery: undefined };
  }
  const types = ['application/json', 'application/yaml', ...(offer.protobuf ? ['application/vnd.kubernetes.protobuf'] : [])];
  throw notAcceptable(`only the following media types are accepted: ${types.join(', ')}`);
}
