/* How a node comes to life and how it ends: a row for each part, started in order and stopped in
 * reverse. A part may use those above it. To add a part: a pointer in node.h, a row here, and two
 * short functions, here or with those of its kind (storage.h, federation.h, edge.h). */
#include "server/node.h"

#include "schema/committer.h"
#include "federation/rooms.h"
#include "server/accounts/accounts.h"
#include "server/api/federation/send.h"
#include "server/config/config.h"
#include "server/e2ee/remote-keys.h"
#include "server/edge.h"
#include "server/ephemeral/ephemeral.h"
#include "server/federation.h"
#include "server/housekeeping.h"
#include "server/media/media.h"
#include "server/participant/control.h"
#include "server/participant/participant.h"
#include "server/room-hooks.h"
#include "server/rooms/follow-up.h"
#include "server/storage.h"
#include "server/sync/hub.h"

typedef struct {
  const char *name;
  CmNodeExtent extent; /* the least extent that has this part */
  gboolean (*start) (CmNode *node, GError **error);
  void (*stop) (CmNode *node); /* must bear a part that is not there; nullable */
} Step;

static gboolean
start_committer (CmNode *node, GError **error)
{
  node->committer = cm_committer_new (node->pool, error);
  return node->committer != NULL;
}

static void
stop_committer (CmNode *node)
{
  g_clear_pointer (&node->committer, cm_committer_free);
  /* It told these of each commit. */
  g_clear_pointer (&node->follow_ups, cm_follow_ups_free);
  g_clear_pointer (&node->sync, cm_sync_hub_free);
  cm_federation_free_queues (node);
}

/* Before the lanes, on which its work is done, so that it goes after them. */
static gboolean
start_rooms (CmNode *node, GError **error)
{
  CmRoomsParts parts = { .pool = node->pool,
                         .ids = node->ids,
                         .committer = node->committer,
                         .key = node->signing_key,
                         .server_name = node->server_name,
                         .hooks = cm_room_hooks (node) };
  node->rooms = cm_rooms_new (&parts, error);
  if (node->rooms == NULL)
    return FALSE;
  node->follow_ups = cm_follow_ups_new (node);
  return cm_accounts_load_erased (node, error);
}

static void
stop_rooms (CmNode *node)
{
  g_clear_pointer (&node->rooms, cm_rooms_free);
}

static gboolean
start_ephemeral (CmNode *node, GError **error)
{
  node->ephemeral = cm_ephemeral_new (node);
  return TRUE;
}

static void
stop_ephemeral (CmNode *node)
{
  g_clear_pointer (&node->ephemeral, cm_ephemeral_free);
}

static gboolean
start_sync_hub (CmNode *node, GError **error)
{
  node->sync = cm_sync_hub_new (node, error);
  return node->sync != NULL;
}

/* Its thread works for those who wait, so it ends before what they are answered with. */
static gboolean
start_sync (CmNode *node, GError **error)
{
  cm_sync_hub_start (node->sync);
  return TRUE;
}

static void
stop_sync (CmNode *node)
{
  cm_sync_hub_stop (node->sync);
}

static gboolean
start_accounts (CmNode *node, GError **error)
{
  node->accounts = cm_accounts_new (node);
  return TRUE;
}

static void
stop_accounts (CmNode *node)
{
  g_clear_pointer (&node->accounts, cm_accounts_free);
}

static gboolean
start_remote_keys (CmNode *node, GError **error)
{
  node->remote_keys = cm_remote_keys_new (node);
  return TRUE;
}

/* What is under way asks it for how long it may go on, until the end. */
static void
stop_remote_keys (CmNode *node)
{
  if (node->remote_keys != NULL)
    cm_remote_keys_free (node->remote_keys);
  node->remote_keys = NULL;
}

static gboolean
start_media (CmNode *node, GError **error)
{
  node->media = cm_media_store_new (node, error);
  return node->media != NULL;
}

static void
stop_media (CmNode *node)
{
  g_clear_pointer (&node->media, cm_media_store_free);
}

static gboolean
start_account_news (CmNode *node, GError **error)
{
  cm_accounts_start_listening (node->accounts);
  return TRUE;
}

static void
stop_account_news (CmNode *node)
{
  if (node->accounts)
    cm_accounts_stop_listening (node->accounts);
}

#ifdef CM_WITH_OLM
static gboolean
start_participant (CmNode *node, GError **error)
{
  node->participant = cm_participant_new (node, error);
  return node->participant != NULL;
}

static void
stop_participant (CmNode *node)
{
  g_clear_pointer (&node->participant, cm_participant_free);
}

static gboolean
start_control (CmNode *node, GError **error)
{
  g_autofree char *path = g_build_filename (node->config->node.data_dir, "control.sock", NULL);

  node->control = cm_control_new (node, path, error);
  return node->control != NULL;
}

static void
stop_control (CmNode *node)
{
  g_clear_pointer (&node->control, cm_control_free);
}
#endif

static gboolean
start_housekeeping (CmNode *node, GError **error)
{
  node->housekeeping = cm_housekeeping_new (node, cm_chores, cm_n_chores);
  return TRUE;
}

static void
stop_housekeeping (CmNode *node)
{
  g_clear_pointer (&node->housekeeping, cm_housekeeping_free);
}

/* Before those parts of the node stop that wait for such an answer themselves. */
static void
hold_no_syncs (CmNode *node)
{
  if (node->sync != NULL)
    cm_sync_hub_hold_none (node->sync);
}

static const Step steps[] = {
  { "signing key", CM_NODE_SERVE, cm_storage_start_signing_key, cm_storage_stop_signing_key },
  { "vault", CM_NODE_TOOL, cm_storage_start_vault, cm_storage_stop_vault },
  { "private database", CM_NODE_TOOL, cm_storage_start_cluster, cm_storage_stop_cluster },
  { "database", CM_NODE_TOOL, cm_storage_start_pool, cm_storage_stop_pool },
  { "migrations", CM_NODE_TOOL, cm_storage_migrate, NULL },
  { "ids", CM_NODE_TOOL, cm_storage_start_ids, cm_storage_stop_ids },
  { "federation client", CM_NODE_SERVE, cm_federation_start_client, cm_federation_stop_client },
  { "committer", CM_NODE_SERVE, start_committer, stop_committer },
  { "rooms", CM_NODE_SERVE, start_rooms, stop_rooms },
  { "key ring", CM_NODE_SERVE, cm_federation_start_keys, cm_federation_stop_keys },
  { "typing and presence", CM_NODE_SERVE, start_ephemeral, stop_ephemeral },
  { "sync hub", CM_NODE_SERVE, start_sync_hub, NULL },
  /* These go on at once with what the last run left: whoever is to hear of commits stands above. */
  { "outbound queues", CM_NODE_SERVE, cm_federation_start_queues, cm_federation_stop_queues },
  { "intake", CM_NODE_SERVE, cm_federation_start_intake, cm_federation_stop_intake },
  { "inbox", CM_NODE_SERVE, cm_federation_start_inbox, cm_federation_stop_inbox },
  { "accounts", CM_NODE_TOOL, start_accounts, stop_accounts },
  { "remote keys", CM_NODE_SERVE, start_remote_keys, stop_remote_keys },
  { "limits", CM_NODE_SERVE, cm_edge_start_limits, cm_edge_stop_limits },
  { "media", CM_NODE_SERVE, start_media, stop_media },
  /* Calls that still wait in the lanes end with those, and by way of the router. */
  { "router", CM_NODE_SERVE, cm_edge_start_router, cm_edge_stop_router },
  { "lanes", CM_NODE_SERVE, cm_edge_start_lanes, cm_edge_stop_lanes },
  { "housekeeping", CM_NODE_SERVE, start_housekeeping, stop_housekeeping },
  { "edge", CM_NODE_SERVE, cm_edge_start_http, cm_edge_stop_http },
  { "sync", CM_NODE_SERVE, start_sync, stop_sync },
  { "account news", CM_NODE_SERVE, start_account_news, stop_account_news },
  { "calls from outside", CM_NODE_SERVE, NULL, cm_edge_close },
#ifdef CM_WITH_OLM
  /* A client of this very node: it stops while its polls are still answered. */
  { "participant", CM_NODE_SERVE, start_participant, stop_participant },
  { "control socket", CM_NODE_SERVE, start_control, stop_control },
#endif
  { "held syncs", CM_NODE_SERVE, NULL, hold_no_syncs },
  /* Last: whoever can connect finds a node that is ready. */
  { "listeners", CM_NODE_SERVE, cm_edge_open, NULL },
};

gboolean
cm_node_stop (CmNode *node)
{
  for (gsize i = G_N_ELEMENTS (steps); i > 0; i--) {
    if (!steps[i - 1].stop || (node->abandoned && steps[i - 1].stop != cm_storage_stop_cluster))
      continue;
    gint64 began = g_get_monotonic_time ();
    steps[i - 1].stop (node);
    g_debug ("Stopped the %s in %" G_GINT64_FORMAT " ms", steps[i - 1].name,
             (g_get_monotonic_time () - began) / 1000);
  }
  if (node->abandoned)
    return FALSE;
  g_free (node);
  return TRUE;
}

CmNode *
cm_node_start (const CmConfig *config, CmNodeExtent extent, GCancellable *stop, GError **error)
{
  CmNode *node = g_new0 (CmNode, 1);
  node->extent = extent;
  node->config = config;
  node->stop = stop;
  node->server_name = config->node.server_name;
  for (gsize i = 0; i < G_N_ELEMENTS (steps); i++) {
    if (!steps[i].start || steps[i].extent > extent)
      continue;
    gint64 began = g_get_monotonic_time ();
    if (!steps[i].start (node, error)) {
      g_prefix_error (error, "Cannot start the %s: ", steps[i].name);
      cm_node_stop (node);
      return NULL;
    }
    g_debug ("Started the %s in %" G_GINT64_FORMAT " ms", steps[i].name,
             (g_get_monotonic_time () - began) / 1000);
  }
  return node;
}
