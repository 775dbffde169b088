export type { EtcdTls } from './etcd-connection.ts';
export { openEtcdStore } from './etcd-store.ts';
export type { EtcdStoreConfig } from './etcd-store.ts';
