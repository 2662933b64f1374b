/**
 * DNS messages on the wire: RFC 1035 §4, EDNS(0) of RFC 6891. Records are coded by dns-packet; owner names equal to the
 * question's are compressed here (dns-packet does not), so that answers with many addresses fit a datagram.
 */
import packet from 'dns-packet';

/** A record as dns-packet codes it. `data` by type: A and AAAA an address, SRV, SOA an object, CNAME, PTR, NS a name, TXT strings. */
export interface DnsRecord { name: string; type: string; class?: string; ttl: number; data: unknown }

export type Rcode = 'NOERROR' | 'FORMERR' | 'SERVFAIL' | 'NXDOMAIN' | 'NOTIMP' | 'REFUSED';
const rcodes: Record<string, number> = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 };
const rcodeNames: readonly string[] = Object.keys(rcodes);

export interface Question {
  /** As asked, case kept, without the last dot. */
  name: string;
  type: string;
  class: string;
}
export interface Request {
  id: number;
  question: Question;
  /** The name in lower case: what plugins compare. */
  name: string;
  recursionDesired: boolean;
  checkingDisabled: boolean;
  /** Largest datagram the client takes; 512 without EDNS. */
  udpSize: number;
  edns: boolean;
  dnssecOk: boolean;
  protocol: 'udp' | 'tcp';
}
export interface Reply {
  rcode: Rcode;
  answers: readonly DnsRecord[];
  authorities?: readonly DnsRecord[] | undefined;
  additionals?: readonly DnsRecord[] | undefined;
  authoritative?: boolean | undefined;
}

interface Wire {
  answer: Codec;
  question: Codec;
}
interface Codec { encode(value: object, buffer: Buffer, offset: number): unknown; encodingLength(value: object): number }
const wire = packet as unknown as Wire;
function encodeBy(codec: Codec, value: object): Buffer {
  const bytes = Buffer.alloc(codec.encodingLength(value));
  codec.encode(value, bytes, 0);
  return bytes;
}
interface Decoded {
  id: number; type: string; flags: number; opcode?: string; rcode?: string;
  questions: { name: string; type: string; class: string }[];
  answers: DnsRecord[]; authorities: DnsRecord[]; additionals: (DnsRecord & { udpPayloadSize?: number; flags?: number; flag_do?: boolean })[];
}

const plainUdpSize = 512;
/** What we send at most, whatever a client allows: no fragments (DNS flag day 2020), except on loopback-sized links where it does not matter. */
export const largestUdpSize = 1_232;
const recursionDesired = 1 << 8, checkingDisabled = 1 << 4, truncated = 1 << 9, isResponse = 1 << 15, authoritative = 1 << 10, recursionAvailable = 1 << 7;

/** A request, or the error code to answer with (`undefined`: not answerable at all). */
export function decodeRequest(bytes: Buffer, protocol: 'udp' | 'tcp'): Request | { id: number; rcode: Rcode } | undefined {
  if (bytes.length < 12) return undefined;
  const id = bytes.readUInt16BE(0);
  const flags = bytes.readUInt16BE(2);
  if (flags & isResponse) return undefined; // answering an answer would make two servers talk for ever
  if (((flags >> 11) & 15) !== 0) return { id, rcode: 'NOTIMP' };
  let message: Decoded;
  try { message = packet.decode(bytes) as unknown as Decoded; } catch { return { id, rcode: 'FORMERR' }; }
  const question = message.questions[0];
  if (message.questions.length !== 1 || !question) return { id, rcode: 'FORMERR' };
  const opt = message.additionals.find((record) => record.type === 'OPT');
  const name = question.name === '.' ? '' : question.name;
  return {
    id, protocol, question: { name, type: question.type, class: question.class }, name: name.toLowerCase(),
    recursionDesired: (flags & recursionDesired) !== 0, checkingDisabled: (flags & checkingDisabled) !== 0,
    udpSize: Math.max(plainUdpSize, opt?.udpPayloadSize ?? plainUdpSize), edns: opt !== undefined, dnssecOk: opt?.flag_do ?? false,
  };
}

/** The reply as bytes, cut to what the client's transport takes (RFC 2181 §9: TC set when an answer was left out). */
export function encodeReply(request: Request, reply: Reply): Buffer {
  const question = encodeBy(wire.question, { ...request.question, name: request.question.name || '.' });
  const opt = request.edns ? encodeBy(wire.answer, { type: 'OPT', name: '.', udpPayloadSize: largestUdpSize, extendedRcode: 0, ednsVersion: 0, flags: request.dnssecOk ? 1 << 15 : 0, flag_do: request.dnssecOk, options: [] }) : undefined;
  let room = (request.protocol === 'tcp' ? 65_535 : Math.min(request.udpSize, largestUdpSize)) - 12 - question.length - (opt?.length ?? 0);
  const sections: Buffer[][] = [[], [], []];
  let cut = false;
  for (const [i, records] of [reply.answers, reply.authorities ?? [], reply.additionals ?? []].entries()) {
    for (const record of records) {
      const bytes = encodeRecord(record, request.name);
      if (cut || bytes.length > room) { if (i < 2) cut = true; break; } // additional records are a courtesy
      room -= bytes.length;
      sections[i]!.push(bytes);
    }
  }
  if (opt) sections[2]!.push(opt);
  const header = Buffer.alloc(12);
  header.writeUInt16BE(request.id, 0);
  header.writeUInt16BE(isResponse | recursionAvailable | (reply.authoritative ? authoritative : 0) | (cut ? truncated : 0) | (request.recursionDesired ? recursionDesired : 0)
    | (request.checkingDisabled ? checkingDisabled : 0) | rcodes[reply.rcode]!, 2);
  header.writeUInt16BE(1, 4);
  sections.forEach((section, i) => { header.writeUInt16BE(section.length, 6 + 2 * i); });
  return Buffer.concat([header, question, ...sections.flat()]);
}

/** A reply without question, for requests that could not be read. */
export function encodeError(id: number, rcode: Rcode): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(isResponse | rcodes[rcode]!, 2);
  return header;
}

/** A query to an upstream resolver. */
export function encodeQuery(id: number, request: Request): Buffer {
  return packet.encode({
    id, type: 'query', flags: recursionDesired | (request.checkingDisabled ? checkingDisabled : 0), questions: [{ ...request.question, name: request.question.name || '.' } as packet.Question],
    additionals: [{ type: 'OPT', name: '.', udpPayloadSize: largestUdpSize, extendedRcode: 0, ednsVersion: 0, flags: request.dnssecOk ? 1 << 15 : 0, flag_do: request.dnssecOk, options: [] } as unknown as packet.Answer],
  });
}

/** An upstream's answer. Throws when it can't be read. */
export function decodeReply(bytes: Buffer): { id: number; truncated: boolean; questionName: string; questionType: string; reply: Reply } {
  const message = packet.decode(bytes) as unknown as Decoded;
  if (message.type !== 'response') throw new Error('not a DNS response');
  const flags = bytes.readUInt16BE(2);
  const name = rcodeNames[flags & 15];
  return {
    id: message.id, truncated: (flags & truncated) !== 0,
    questionName: (message.questions[0]?.name ?? '').toLowerCase(), questionType: message.questions[0]?.type ?? '',
    reply: { rcode: (name ?? 'SERVFAIL') as Rcode, answers: message.answers, authorities: message.authorities, additionals: message.additionals.filter((record) => record.type !== 'OPT') },
  };
}

const questionPointer = Buffer.from([0xc0, 12]);
function encodeRecord(record: DnsRecord, questionName: string): Buffer {
  if (questionName === '' || record.name.toLowerCase() !== questionName) return encodeBy(wire.answer, { class: 'IN', ...record });
  return Buffer.concat([questionPointer, encodeBy(wire.answer, { class: 'IN', ...record, name: '.' }).subarray(1)]);
}
