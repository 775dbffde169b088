/**
 * All that nodes know of the cluster lies below this in the coordination store, so that one look shows it as it was at
 * one moment, and one watch keeps it up.
 */
export const clusterPrefix = 'cluster/';
