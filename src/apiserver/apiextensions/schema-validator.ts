/**
 * Values against an OpenAPI v3 schema, in upstream's words. A schema is compiled on first use, node by node as values reach it,
 * so a large definition costs only what is used of it. With an old value, errors of parts that did not change are dropped (ratcheting).
 * Source: kube-openapi pkg/validation/validate; apiextensions-apiserver/pkg/apiserver/validation; KEP-4008.
 */
import { isJsonObject, jsonEqual, type Json, type JsonObject } from '../../base/json.ts';
import { compileRegex } from '../../api/cel/re2.ts';
import type { FieldError } from '../../api/meta/status.ts';
import * as problem from '../../api/validation/field.ts';
import { isSupportedFormat, stringFormat } from './formats.ts';

/** Errors reported of one object at most; hostile objects could have one per byte. */
const maxErrors = 1000;

/** `old` undefined: there is nothing to compare with. */
export type SchemaValidator = (value: Json, old?: Json) => FieldError[];

/** `prefix`: where in the object the value lies ('status'); messages name fields from there. */
export function schemaValidator(schema: JsonObject, prefix = ''): SchemaValidator {
  const node = new Node(schema);
  return (value, old) => {
    const result: Result = { errors: [], matched: 0 };
    node.validate(value, '', old, { prefix }, result);
    return result.errors;
  };
}

interface Result { errors: FieldError[]; /** Checks passed, by which the branch of an anyOf is chosen whose errors are shown. */ matched: number }
interface Place { prefix: string }

const typeOfValue = (value: Json): string => {
  switch (typeof value) {
    case 'string': return 'string';
    case 'boolean': return 'boolean';
    case 'number': return Number.isInteger(value) && Math.abs(value) < 2 ** 63 ? 'integer' : 'number';
    default: return value === null ? 'null' : Array.isArray(value) ? 'array' : 'object';
  }
};
const goFormat = (type: string): string => (type === 'integer' ? 'int64' : type === 'number' ? 'float64' : '');
/** %v of a float64. */
const goNumber = (value: number): string => {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return String(value);
  return String(value).replace(/e([+-])(\d)$/, 'e$10$2');
};
const objectOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {});
const listOf = (value: Json | undefined): JsonObject[] => (Array.isArray(value) ? value.filter(isJsonObject) : []);

class Node {
  readonly #schema: JsonObject;
  readonly #types: readonly string[];
  readonly #format: string;
  #children: Map<string, Node> | undefined;

  constructor(schema: JsonObject) {
    this.#schema = schema;
    const { type, format } = schema;
    this.#types = schema['x-kubernetes-int-or-string'] === true ? ['integer', 'string'] : typeof type === 'string' && type !== '' ? [type] : [];
    this.#format = typeof format === 'string' && isSupportedFormat(this.#types.length === 1 ? this.#types[0]! : '', format) ? format : '';
  }

  #child(key: string, schema: JsonObject): Node {
    let node = (this.#children ??= new Map()).get(key);
    if (!node) this.#children.set(key, node = new Node(schema));
    return node;
  }

  validate(value: Json, path: string, old: Json | undefined, place: Place, into: Result): void {
    if (into.errors.length >= maxErrors) return;
    const result: Result = { errors: [], matched: 0 };
    this.#check(value, path, old, place, result);
    into.matched += result.matched;
    if (result.errors.length === 0) return;
    // Ratcheting: what was wrong and is as it was stays.
    if (old !== undefined && jsonEqual(old, value)) return;
    for (const error of result.errors) { if (into.errors.length >= maxErrors) return; into.errors.push(error); }
  }

  #check(value: Json, path: string, old: Json | undefined, place: Place, result: Result): void {
    const at = new At(path, place.prefix, result);
    this.#type(value, at);
    if (value === null) { this.#enum(value, at); return; }
    this.#combine(value, path, old, place, result, at);
    if (typeof value === 'string') this.#string(value, at);
    else if (typeof value === 'number') this.#number(value, at);
    else if (Array.isArray(value)) this.#list(value, path, old, place, result, at);
    this.#enum(value, at);
    if (isJsonObject(value)) this.#object(value, path, old, place, result, at);
    result.matched++;
  }

  #type(value: Json, at: At): void {
    const types = this.#types;
    const format = this.#format;
    if (types.length === 0 && format === '') return;
    at.result.matched++;
    if (value === null) { if (types.length > 0 && this.#schema.nullable !== true) at.type(types.join(','), 'null'); return; }
    const actual = typeOfValue(value);
    const fits = types.includes(actual) || (actual === 'integer' && types.includes('number'));
    if (typeof value !== 'string' && !Array.isArray(value) && format !== '' && !fits && goFormat(actual) !== format) { at.type(format, goFormat(actual)); return; }
    if (!(types.includes('number') || types.includes('integer')) && format !== '' && (typeof value === 'string' || Array.isArray(value))) return;
    if (types.length > 0 && !fits) at.type(types.join(','), actual);
  }

  #enum(value: Json, at: At): void {
    const allowed = this.#schema.enum;
    if (!Array.isArray(allowed) || allowed.length === 0) return;
    at.result.matched++;
    if (allowed.some((one) => jsonEqual(one, value))) return;
    at.add(problem.notSupported(at.field, value, allowed.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))));
  }

  #string(value: string, at: At): void {
    const { maxLength, minLength, pattern } = this.#schema;
    at.result.matched++;
    const failed = () => {
      if (typeof maxLength === 'number' && value.length > maxLength && [...value].length > maxLength) { at.add(problem.tooLong(at.field, maxLength)); return; }
      if (typeof minLength === 'number' && (value.length < minLength || [...value].length < minLength)) { at.invalid(value, `should be at least ${minLength} chars long`); return; }
      if (typeof pattern === 'string' && pattern !== '' && !compileRegex(pattern).test(value)) at.invalid(value, `should match '${pattern}'`);
    };
    failed();
    if (this.#format === '') return;
    const check = stringFormat(this.#format);
    if (check && !check(value)) at.type(this.#format, value);
  }
  #number(value: number, at: At): void {
    const { multipleOf, maximum, minimum, exclusiveMaximum, exclusiveMinimum } = this.#schema;
    at.result.matched++;
    if (this.#types.length === 1 && this.#types[0] === 'integer') {
      const limit = this.#format === 'int32' ? 2 ** 31 : 2 ** 63;
      if (!Number.isInteger(value) || value >= limit || value < -limit) at.plain(`Checked value must be of type integer ${this.#format ? `with format ${this.#format}` : '(default format)'} in ${at.path}`);
    }
    if (typeof multipleOf === 'number') {
      if (multipleOf <= 0) at.plain(`factor MultipleOf declared for ${at.path} must be positive: ${goNumber(multipleOf)}`);
      else {
        const times = Number.isInteger(value) && Number.isInteger(multipleOf) ? value / multipleOf : multipleOf < 1 ? (1 / multipleOf) * value : value / multipleOf;
        if (!isWhole(times)) at.invalid(value, `should be a multiple of ${goNumber(multipleOf)}`);
      }
    }
    if (typeof minimum === 'number' && (exclusiveMinimum === true ? value <= minimum : value < minimum)) at.invalid(value, `should be greater than ${exclusiveMinimum === true ? '' : 'or equal to '}${goNumber(minimum)}`);
    if (typeof maximum === 'number' && (exclusiveMaximum === true ? value >= maximum : value > maximum)) at.invalid(value, `should be less than ${exclusiveMaximum === true ? '' : 'or equal to '}${goNumber(maximum)}`);
  }

  #list(value: Json[], path: string, old: Json | undefined, place: Place, result: Result, at: At): void {
    const { items, minItems, maxItems, uniqueItems } = this.#schema;
    if (isJsonObject(items)) {
      const node = this.#child('[]', items);
      const before = oldItems(this.#schema, value, old);
      for (let index = 0; index < value.length; index++) node.validate(value[index]!, `${path}[${index}]`, before?.(value[index]!), place, result);
    }
    if (typeof minItems === 'number' && value.length < minItems) at.invalid(value.length, `should have at least ${minItems} items`);
    if (typeof maxItems === 'number' && value.length > maxItems) at.add(problem.tooMany(at.field, value.length, maxItems));
    if (uniqueItems === true && value.some((item, index) => value.slice(0, index).some((other) => jsonEqual(item, other)))) at.invalid('', "shouldn't contain duplicates");
    result.matched++;
  }

  #object(value: JsonObject, path: string, old: Json | undefined, place: Place, result: Result, at: At): void {
    const { minProperties, maxProperties, additionalProperties, required } = this.#schema;
    const properties = objectOf(this.#schema.properties);
    const before = isJsonObject(old) && this.#schema['x-kubernetes-map-type'] !== 'atomic' ? old : undefined;
    // Changes of apiVersion and kind can't be seen: both are shown in one version.
    const oldOf = (key: string) => (before && Object.hasOwn(before, key) && !(path === '' && place.prefix === '' && (key === 'apiVersion' || key === 'kind')) ? before[key] : undefined);
    const inside = (key: string) => (path === '' ? key : `${path}.${key}`);
    let count = 0;
    for (const _ in value) count++;
    if (typeof minProperties === 'number' && count < minProperties) at.invalid(count, `should have at least ${minProperties} properties`);
    if (typeof maxProperties === 'number' && count > maxProperties) at.add(problem.tooMany(at.field, count, maxProperties));
    if (additionalProperties === false) {
      for (const key in value) if (!Object.hasOwn(properties, key)) at.add(problem.invalid(at.field, key, `${path}.${key} in body is a forbidden property`));
    } else if (isJsonObject(additionalProperties)) {
      const node = this.#child('{}', additionalProperties);
      for (const key in value) if (!Object.hasOwn(properties, key)) node.validate(value[key] ?? null, inside(key), oldOf(key), place, result);
    }
    for (const key in properties) {
      if (!Object.hasOwn(value, key) || value[key] === undefined) continue;
      const property = properties[key];
      if (isJsonObject(property)) this.#child(`.${key}`, property).validate(value[key]!, inside(key), oldOf(key), place, result);
    }
    if (Array.isArray(required)) {
      for (const key of required) if (!Object.hasOwn(value, String(key))) new At(inside(String(key)), place.prefix, result).required();
    }
    result.matched++;
  }

  #combine(value: Json, path: string, old: Json | undefined, place: Place, result: Result, at: At): void {
    const { anyOf, oneOf, allOf, not } = this.#schema;
    const outcome = (key: string, schema: JsonObject): Result => { const one: Result = { errors: [], matched: 0 }; this.#child(key, schema).validate(value, path, old, place, one); return one; };
    const adopt = (one: Result) => { result.errors.push(...one.errors); result.matched += one.matched; };
    const quoted = problem.quote(path);
    if (Array.isArray(anyOf) && anyOf.length > 0) {
      let best: Result | undefined;
      let success: Result | undefined;
      for (const [index, schema] of listOf(anyOf).entries()) {
        const one = outcome(`anyOf ${index}`, schema);
        if (one.errors.length === 0) { success = one; break; }
        if (!best || one.matched > best.matched) best = one;
      }
      if (success) adopt(success);
      else { at.plain(`${quoted} must validate at least one schema (anyOf)`); if (best) adopt(best); }
    }
    if (Array.isArray(oneOf) && oneOf.length > 0) {
      const outcomes = listOf(oneOf).map((schema, index) => outcome(`oneOf ${index}`, schema));
      const valid = outcomes.filter((one) => one.errors.length === 0);
      if (valid.length === 1) adopt(valid[0]!);
      else {
        at.plain(`${quoted} must validate one and only one schema (oneOf). ${valid.length === 0 ? 'Found none valid' : `Found ${valid.length} valid alternatives`}`);
        if (valid.length === 0) { const best = outcomes.reduce((a, b) => (b.matched > a.matched ? b : a)); adopt(best); }
      }
    }
    if (Array.isArray(allOf) && allOf.length > 0) {
      let valid = 0;
      for (const [index, schema] of listOf(allOf).entries()) { const one = outcome(`allOf ${index}`, schema); if (one.errors.length === 0) valid++; adopt(one); }
      if (valid !== allOf.length) at.plain(`${quoted} must validate all the schemas (allOf)${valid === 0 ? '. None validated' : ''}`);
    }
    if (isJsonObject(not) && outcome('not', not).errors.length === 0) at.plain(`${quoted} must not validate the schema (not)`);
    result.matched++;
  }
}

const isWhole = (value: number) => Math.abs(value) <= Number.MAX_SAFE_INTEGER && (Number.isInteger(value) || Math.abs(value - Math.round(value)) < 1e-9 * Math.max(1, Math.abs(value)));

/** Where a check runs and how it reports. */
class At {
  readonly path: string;
  readonly #prefix: string;
  readonly result: Result;
  constructor(path: string, prefix: string, result: Result) { this.path = path; this.#prefix = prefix; this.result = result; }
  /** A path that prints as it was built. */
  get field(): problem.FieldPath { return problem.field(this.path === '' ? this.#prefix || '<nil>' : this.#prefix ? `${this.#prefix}.${this.path}` : this.path); }
  add(error: FieldError): void { this.result.errors.push(error); }
  invalid(value: Json, text: string): void { this.add(problem.invalid(this.field, value, `${this.path} in body ${text}`)); }
  type(wanted: string, found: string): void { this.add(problem.typeInvalid(this.field, found, `${this.path} in body must be of type ${wanted}: ${problem.quote(found)}`)); }
  required(): void { this.add(problem.required(this.field)); }
  /** About the whole: upstream names no field. */
  plain(text: string): void { this.add(problem.invalid(problem.field(this.#prefix || '<nil>'), '', text)); }
}

/** For a list of type map: finds the old item with the same keys. Other lists have no items that could be told apart. */
export function oldItems(schema: JsonObject, items: readonly Json[], old: Json | undefined): ((item: Json) => Json | undefined) | undefined {
  if (!Array.isArray(old) || items.length === 0 || schema['x-kubernetes-list-type'] !== 'map') return undefined;
  const keys = Array.isArray(schema['x-kubernetes-list-map-keys']) ? schema['x-kubernetes-list-map-keys'].map(String) : [];
  const idOf = (item: Json): string | undefined => (isJsonObject(item) ? JSON.stringify(keys.map((key) => item[key] ?? null)) : undefined);
  const index = new Map<string, Json | undefined>();
  for (const item of old) { const id = idOf(item); if (id !== undefined) index.set(id, index.has(id) ? undefined : item); }
  return (item) => { const id = idOf(item); return id === undefined ? undefined : index.get(id); };
}
