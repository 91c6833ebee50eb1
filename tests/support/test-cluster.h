/* A private PostgreSQL cluster for one test program, in a temporary directory that goes with it. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

typedef struct _TestCluster TestCluster;

/* Call this in place of g_test_init. Started as root (as in a container), the program becomes an
 * unprivileged user for good, since PostgreSQL refuses root. Warnings, which the database's
 * failures cause, are not fatal; criticals are. */
void test_cluster_init (int *argc, char ***argv);

/* Starts the cluster; aborts when that fails. */
TestCluster *test_cluster_new (void);
void test_cluster_free (TestCluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestCluster, test_cluster_free)

/* (transfer full) a pool on a fresh database, with all migrations (@migrated) or empty. */
CmPool *test_cluster_pool (TestCluster *cluster, guint max, gboolean migrated);
/* (transfer full) the connection string of a fresh database, for programs of their own. */
char *test_cluster_database (TestCluster *cluster, gboolean migrated);
/* Sends @signal to the server, e.g. SIGKILL; it is started again by itself. */
void test_cluster_signal (TestCluster *cluster, int signal);

/* (transfer full) a new directory, owned by whoever this program runs as, and its end. */
char *test_make_dir (void);
void test_remove_dir (const char *path);

G_END_DECLS
