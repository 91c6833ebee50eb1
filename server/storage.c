#include "server/storage.h"

#include "crypto/ed25519.h"
#include "crypto/vault.h"
#include "schema/cluster.h"
#include "schema/ids.h"
#include "schema/migrate.h"
#include "schema/server-name.h"
#include "server/config/config.h"

static char *
data_file (const CmNode *node, const char *name)
{
  return g_build_filename (node->config->node.data_dir, name, NULL);
}

gboolean
cm_storage_start_signing_key (CmNode *node, GError **error)
{
  node->signing_key = cm_signing_key_load_or_create (node->config->node.signing_key, error);
  return node->signing_key != NULL;
}

void
cm_storage_stop_signing_key (CmNode *node)
{
  g_clear_pointer (&node->signing_key, cm_signing_key_unref);
}

gboolean
cm_storage_start_vault (CmNode *node, GError **error)
{
  g_autofree char *path = data_file (node, "vault.key");
  node->vault = cm_vault_load_or_create (path, error);
  return node->vault != NULL;
}

void
cm_storage_stop_vault (CmNode *node)
{
  g_clear_pointer (&node->vault, cm_vault_unref);
}

gboolean
cm_storage_start_cluster (CmNode *node, GError **error)
{
  if (node->config->database.dsn)
    return TRUE;
  g_autofree char *dir = data_file (node, "postgresql");
  node->cluster = node->extent == CM_NODE_SERVE ? cm_cluster_start (dir, node->stop, error)
                                                : cm_cluster_join (dir, node->stop, error);
  return node->cluster != NULL;
}

void
cm_storage_stop_cluster (CmNode *node)
{
  g_clear_pointer (&node->cluster, cm_cluster_stop);
}

gboolean
cm_storage_start_pool (CmNode *node, GError **error)
{
  const char *dsn = node->cluster ? cm_cluster_dsn (node->cluster) : node->config->database.dsn;
  node->pool = cm_pool_new (dsn, (guint) node->config->database.connections, error);
  return node->pool != NULL;
}

void
cm_storage_stop_pool (CmNode *node)
{
  g_clear_pointer (&node->pool, cm_pool_free);
}

gboolean
cm_storage_migrate (CmNode *node, GError **error)
{
  return cm_migrate (node->pool, error) &&
         cm_server_name_check (node->pool, node->server_name, node->extent == CM_NODE_SERVE, error);
}

gboolean
cm_storage_start_ids (CmNode *node, GError **error)
{
  node->ids = cm_ids_new (node->pool, error);
  return node->ids != NULL;
}

void
cm_storage_stop_ids (CmNode *node)
{
  g_clear_pointer (&node->ids, cm_ids_free);
}
