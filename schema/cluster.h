/* The embedded default: a private PostgreSQL cluster under the data directory, on a unix socket,
 * started and stopped with the node. */
#pragma once

#include "schema/db.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _CmCluster CmCluster;

/**
 * cm_cluster_start: makes the cluster below @dir with initdb when there is none (UTF8, C.UTF-8,
 * trust inside a 0700 socket directory), starts the server as the user this process runs as (never
 * root) and waits until it answers. Stops a server that a killed node left first; refuses a
 * directory that a living node uses. A server that dies is started again. Finds the PostgreSQL
 * programs (the newest, or those that made the cluster) under /usr/lib/postgresql or on PATH.
 * @stop: (nullable) ends initdb, which can take long, with G_IO_ERROR_CANCELLED; the caller's main
 * context runs meanwhile, so that whatever cancels may live there.
 */
CmCluster *cm_cluster_start (const char *dir, GCancellable *stop, GError **error);
/* For a command beside a node: the server that runs, if one does, which stopping then leaves alone;
 * else as cm_cluster_start. */
CmCluster *cm_cluster_join (const char *dir, GCancellable *stop, GError **error);
/* A fast stop, and after 2 seconds an immediate one. Every connection must be closed or will break.
 */
void cm_cluster_stop (CmCluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmCluster, cm_cluster_stop)
/* The libpq connection string of the node's database. */
const char *cm_cluster_dsn (const CmCluster *cluster);

G_END_DECLS
