/* What a private cluster is on disk: the programs that fit it, its data made by initdb, its
 * settings and its socket directory. */
#pragma once

#include "crypto/error.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* (transfer full) the folder of the programs: those of the version that made @data_dir, or else the
 * newest. */
char *cm_cluster_find_programs (const char *data_dir, GError **error);
/* Makes @data_dir unless it is there. Killed half-way, it starts afresh the next time. */
gboolean cm_cluster_make_data (const char *programs, const char *data_dir, GCancellable *stop,
                               GError **error);
/* (transfer full) a 0700 folder for the socket: @dir/run, or a short one elsewhere when that name
 * does not fit a socket address or a connection string. */
char *cm_cluster_make_socket_dir (const char *dir, GError **error);
/* Writes the settings that are ours. An operator's own go into postgresql.conf, after the line that
 * includes ours. */
gboolean cm_cluster_write_settings (const char *data_dir, const char *socket_dir, GError **error);
/* (transfer full) the environment for PostgreSQL's programs: nothing of ours but what they need. */
char **cm_cluster_environment (void);

G_END_DECLS
