import { fromJSON } from '@grpc/proto-loader';
import type { AnyDefinition, ServiceDefinition } from '@grpc/proto-loader';

/** As the wire has them, in the names of etcd's own rpc.proto and kv.proto; what is left out of them we do not use. */
export interface EtcdKeyValue {
  readonly key: Buffer;
  readonly create_revision: number;
  readonly mod_revision: number;
  readonly version: number;
  readonly value: Buffer;
  readonly lease: number;
}

export interface ResponseHeader {
  /** Rounded, as all numbers above 2^53: that tells clusters apart as well. */
  readonly cluster_id: number;
  readonly revision: number;
}

export interface RangeResponse {
  readonly header: ResponseHeader | null;
  readonly kvs: readonly EtcdKeyValue[];
  readonly more: boolean;
}

export interface TxnResponse {
  readonly header: ResponseHeader | null;
  readonly succeeded: boolean;
  readonly responses: readonly {
    readonly response_range?: RangeResponse | null;
    readonly response_delete_range?: { readonly deleted: number } | null;
  }[];
}

export interface LeaseResponse {
  readonly header: ResponseHeader | null;
  readonly ID: number;
  /** Seconds; 0 where it is gone. */
  readonly TTL: number;
}

export interface WatchResponse {
  readonly header: ResponseHeader | null;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compact_revision: number;
  readonly cancel_reason: string;
  readonly events: readonly { readonly type: 'PUT' | 'DELETE'; readonly kv: EtcdKeyValue | null }[];
}

type FieldType = string | readonly [rule: 'repeated', type: string];

/** Fields by name, as `[number, type]`. */
function message(fields: Readonly<Record<string, readonly [number, FieldType]>>, oneof?: readonly string[]): object {
  const named = Object.entries(fields).map(([name, [id, type]]) => [
    name,
    typeof type === 'string' ? { type, id } : { rule: type[0], type: type[1], id },
  ]);
  const oneofs = oneof === undefined ? {} : { oneofs: { which: { oneof } } };
  return { fields: Object.fromEntries(named) as object, ...oneofs };
}

function serviceOf(methods: Readonly<Record<string, readonly [string, string, 'stream'?]>>): object {
  const named = Object.entries(methods).map(([name, [requestType, responseType, stream]]) => [
    name,
    { requestType, responseType, ...(stream && { requestStream: true, responseStream: true }) },
  ]);
  return { methods: Object.fromEntries(named) as object };
}

const header = 'ResponseHeader';

const etcdserverpb = {
  ResponseHeader: message({ cluster_id: [1, 'uint64'], member_id: [2, 'uint64'], revision: [3, 'int64'] }),
  KeyValue: message({
    key: [1, 'bytes'],
    create_revision: [2, 'int64'],
    mod_revision: [3, 'int64'],
    version: [4, 'int64'],
    value: [5, 'bytes'],
    lease: [6, 'int64'],
  }),
  RangeRequest: message({ key: [1, 'bytes'], range_end: [2, 'bytes'], limit: [3, 'int64'] }),
  RangeResponse: message({ header: [1, header], kvs: [2, ['repeated', 'KeyValue']], more: [3, 'bool'] }),
  PutRequest: message({ key: [1, 'bytes'], value: [2, 'bytes'], lease: [3, 'int64'] }),
  PutResponse: message({ header: [1, header] }),
  DeleteRangeRequest: message({ key: [1, 'bytes'], range_end: [2, 'bytes'] }),
  DeleteRangeResponse: message({ header: [1, header], deleted: [2, 'int64'] }),
  RequestOp: message(
    {
      request_range: [1, 'RangeRequest'],
      request_put: [2, 'PutRequest'],
      request_delete_range: [3, 'DeleteRangeRequest'],
    },
    ['request_range', 'request_put', 'request_delete_range'],
  ),
  ResponseOp: message(
    {
      response_range: [1, 'RangeResponse'],
      response_put: [2, 'PutResponse'],
      response_delete_range: [3, 'DeleteRangeResponse'],
    },
    ['response_range', 'response_put', 'response_delete_range'],
  ),
  CompareResult: { values: { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 } },
  CompareTarget: { values: { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3 } },
  Compare: message(
    {
      result: [1, 'CompareResult'],
      target: [2, 'CompareTarget'],
      key: [3, 'bytes'],
      version: [4, 'int64'],
      mod_revision: [6, 'int64'],
      value: [7, 'bytes'],
    },
    ['version', 'mod_revision', 'value'],
  ),
  TxnRequest: message({
    compare: [1, ['repeated', 'Compare']],
    success: [2, ['repeated', 'RequestOp']],
    failure: [3, ['repeated', 'RequestOp']],
  }),
  TxnResponse: message({ header: [1, header], succeeded: [2, 'bool'], responses: [3, ['repeated', 'ResponseOp']] }),
  WatchCreateRequest: message({ key: [1, 'bytes'], range_end: [2, 'bytes'], start_revision: [3, 'int64'] }),
  WatchRequest: message({ create_request: [1, 'WatchCreateRequest'] }, ['create_request']),
  EventType: { values: { PUT: 0, DELETE: 1 } },
  Event: message({ type: [1, 'EventType'], kv: [2, 'KeyValue'] }),
  WatchResponse: message({
    header: [1, header],
    watch_id: [2, 'int64'],
    created: [3, 'bool'],
    canceled: [4, 'bool'],
    compact_revision: [5, 'int64'],
    cancel_reason: [6, 'string'],
    events: [11, ['repeated', 'Event']],
  }),
  LeaseGrantRequest: message({ TTL: [1, 'int64'], ID: [2, 'int64'] }),
  LeaseGrantResponse: message({ header: [1, header], ID: [2, 'int64'], TTL: [3, 'int64'], error: [4, 'string'] }),
  LeaseKeepAliveRequest: message({ ID: [1, 'int64'] }),
  LeaseKeepAliveResponse: message({ header: [1, header], ID: [2, 'int64'], TTL: [3, 'int64'] }),
  LeaseRevokeRequest: message({ ID: [1, 'int64'] }),
  LeaseRevokeResponse: message({ header: [1, header] }),
  AuthenticateRequest: message({ name: [1, 'string'], password: [2, 'string'] }),
  AuthenticateResponse: message({ header: [1, header], token: [2, 'string'] }),
  KV: serviceOf({ Range: ['RangeRequest', 'RangeResponse'], Txn: ['TxnRequest', 'TxnResponse'] }),
  Watch: serviceOf({ Watch: ['WatchRequest', 'WatchResponse', 'stream'] }),
  Lease: serviceOf({
    LeaseGrant: ['LeaseGrantRequest', 'LeaseGrantResponse'],
    LeaseRevoke: ['LeaseRevokeRequest', 'LeaseRevokeResponse'],
    LeaseKeepAlive: ['LeaseKeepAliveRequest', 'LeaseKeepAliveResponse', 'stream'],
  }),
  Auth: serviceOf({ Authenticate: ['AuthenticateRequest', 'AuthenticateResponse'] }),
};

const definitions = fromJSON(
  { nested: { etcdserverpb: { nested: etcdserverpb } } },
  { keepCase: true, longs: Number, enums: String, defaults: true, arrays: true },
);

/** What a call of one method needs. */
export interface Method<Request extends object, Reply extends object> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Reply;
}

/** Messages and enumerations have a format. */
function isService(definition: AnyDefinition): definition is ServiceDefinition {
  return !('format' in definition);
}

/** The descriptions above say what it takes and gives. */
function methodOf<Request extends object, Reply extends object>(service: string, name: string): Method<Request, Reply> {
  const definition = definitions[`etcdserverpb.${service}`];
  const found = definition === undefined || !isService(definition) ? undefined : definition[name];
  if (found === undefined) throw new RangeError(`no ${service}.${name}`);
  return {
    path: found.path,
    requestSerialize: (request) => found.requestSerialize(request),
    responseDeserialize: (bytes) => found.responseDeserialize(bytes) as Reply,
  };
}

export interface RangeRequestMessage {
  readonly key: Buffer;
  /** Exclusive. Without it the one key. */
  readonly range_end?: Buffer;
  readonly limit?: number;
}

export type CompareMessage = { readonly key: Buffer; readonly result: 'EQUAL' | 'GREATER' } & (
  | { readonly target: 'VERSION'; readonly version: number }
  | { readonly target: 'MOD'; readonly mod_revision: number }
  | { readonly target: 'VALUE'; readonly value: Buffer }
);

export type OperationMessage =
  | { readonly request_range: RangeRequestMessage }
  | { readonly request_put: { readonly key: Buffer; readonly value: Buffer; readonly lease: number } }
  | { readonly request_delete_range: RangeRequestMessage };

export interface TxnRequestMessage {
  readonly compare: readonly CompareMessage[];
  readonly success: readonly OperationMessage[];
  readonly failure: readonly OperationMessage[];
}

export interface WatchRequestMessage {
  readonly create_request: RangeRequestMessage & { readonly start_revision: number };
}

interface LeaseRequestMessage {
  readonly ID: number;
  readonly TTL?: number;
}

interface LoginMessage {
  readonly name: string;
  readonly password: string;
}

interface LoginResponse {
  readonly header: ResponseHeader | null;
  readonly token: string;
}

export const methods = Object.freeze({
  range: methodOf<RangeRequestMessage, RangeResponse>('KV', 'Range'),
  txn: methodOf<TxnRequestMessage, TxnResponse>('KV', 'Txn'),
  watch: methodOf<WatchRequestMessage, WatchResponse>('Watch', 'Watch'),
  leaseGrant: methodOf<LeaseRequestMessage, LeaseResponse>('Lease', 'LeaseGrant'),
  leaseRevoke: methodOf<LeaseRequestMessage, { readonly header: ResponseHeader | null }>('Lease', 'LeaseRevoke'),
  leaseKeepAlive: methodOf<LeaseRequestMessage, LeaseResponse>('Lease', 'LeaseKeepAlive'),
  authenticate: methodOf<LoginMessage, LoginResponse>('Auth', 'Authenticate'),
});
