/** String formats that a schema may demand. Unknown ones are ignored (and warned of when a definition is written). Source: apiextensions-apiserver/pkg/apiserver/validation/formats.go, kube-openapi strfmt. */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { isDNS1123Label, isDNS1123Subdomain } from '../../api/validation/names.ts';

type Check = (text: string) => boolean;
const pattern = (regexp: RegExp): Check => (text) => regexp.test(text);
const uuid = (version: string, variant = '[0-9a-f]') => pattern(new RegExp(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${version}[0-9a-f]{3}-?${variant}[0-9a-f]{3}-?[0-9a-f]{12}$`, 'i'));

const isbn10: Check = (text) => {
  const digits = text.replace(/[-\s]/g, '');
  if (!/^\d{9}[\dX]$/.test(digits)) return false;
  return [...digits].reduce((sum, digit, index) => sum + (index + 1) * (digit === 'X' ? 10 : Number(digit)), 0) % 11 === 0;
};
const isbn13: Check = (text) => {
  const digits = text.replace(/[-\s]/g, '');
  return /^\d{13}$/.test(digits) && [...digits].reduce((sum, digit, index) => sum + Number(digit) * (index % 2 === 0 ? 1 : 3), 0) % 10 === 0;
};
const creditCard: Check = (text) => {
  const digits = text.replace(/\D/g, '');
  if (!/^(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})\d{11})$/.test(digits)) return false;
  return [...digits].reverse().reduce((sum, digit, index) => { const doubled = Number(digit) * (index % 2 === 0 ? 1 : 2); return sum + (doubled > 9 ? doubled - 9 : doubled); }, 0) % 10 === 0;
};
const isDate: Check = (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00:00Z`)) && new Date(`${text}T00:00:00Z`).toISOString().startsWith(text);
const isDateTime: Check = (text) => {
  const [, date, time] = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)?$/.exec(text) ?? [];
  return date !== undefined && isDate(date) && /^([01]\d|2[0-3]):[0-5]\d:[0-5]\d$/.test(time!);
};
const isHostname: Check = (text) => text.length <= 255 && /^([a-zA-Z0-9\p{L}_]([a-zA-Z0-9\-\p{L}_]{0,61}[a-zA-Z0-9\p{L}_])?)(\.[a-zA-Z0-9\p{L}_]([a-zA-Z0-9\-\p{L}_]{0,61}[a-zA-Z0-9\p{L}_])?)*\.?$/u.test(text) && !/(?:^|\.)-|-(?:\.|$)/.test(text);
const isCidr: Check = (text) => {
  const [address = '', length = '', ...rest] = text.split('/');
  return rest.length === 0 && /^\d{1,3}$/.test(length) && isIP(address) !== 0 && Number(length) <= (isIPv4(address) ? 32 : 128) && String(Number(length)) === length;
};
const isUri: Check = (text) => {
  // net/url.ParseRequestURI: absolute, or a path from the root.
  if (text.startsWith('/')) return !/[\u0000-\u0020\u007f]/.test(text); // eslint-disable-line no-control-regex
  return /^[a-zA-Z][a-zA-Z0-9+.-]*:/.test(text) && !/[\u0000-\u001f\u007f\s]/.test(text) && (!/^[a-z]+:\/\//i.test(text) || URL.canParse(text)); // eslint-disable-line no-control-regex
};

const checks: Readonly<Record<string, Check>> = {
  bsonobjectid: pattern(/^[0-9a-fA-F]{24}$/), uri: isUri, email: pattern(/^(?:[^<>]*<)?[^\s@<>]+@[^\s@<>]+>?$/), hostname: isHostname,
  ipv4: isIPv4, ipv6: isIPv6, cidr: isCidr, mac: pattern(/^(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4,18}[0-9a-f]{2}$|^[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(\.[0-9a-f]{4}){0,7}$/i),
  uuid: uuid('[0-9a-f]'), uuid3: uuid('3'), uuid4: uuid('4', '[89ab]'), uuid5: uuid('5', '[89ab]'),
  isbn: (text) => isbn10(text) || isbn13(text), isbn10, isbn13, creditcard: creditCard, ssn: pattern(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/),
  hexcolor: pattern(/^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/), rgbcolor: pattern(/^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$/),
  byte: pattern(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/), password: () => true, date: isDate, datetime: isDateTime,
  duration: (text) => /^[+-]?(0|(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*)$/.test(text) || /^\s*\d+\s*(ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|wks?)\s*$/i.test(text),
  k8sshortname: (text) => isDNS1123Label(text).length === 0, k8slongname: (text) => isDNS1123Subdomain(text).length === 0,
};

/** The check for a format of strings; undefined when it is not supported, and so ignored. */
export function stringFormat(format: string): Check | undefined {
  const name = format.replaceAll('-', '');
  return Object.hasOwn(checks, name) ? checks[name] : undefined;
}
/** Whether a format means something on a value of this type ('' for none given, or several). */
export function isSupportedFormat(type: string, format: string): boolean {
  switch (type) {
    case '': case 'string': return stringFormat(format) !== undefined;
    case 'integer': return format === 'int32' || format === 'int64';
    case 'number': return format === 'float' || format === 'double';
    default: return false;
  }
}
