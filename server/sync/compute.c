#include "server/sync/compute.h"

#include "server/node.h"
#include "server/sync/gather.h"
#include "server/sync/hub.h"

CmSyncAnswer *
cm_sync_compute (const CmSyncRequest *request, GError **error)
{
  CmSyncHub *hub = request->node->sync;
  gint64 cut = cm_sync_hub_settle (hub);
  g_autoptr (CmSyncAnswer) answer = cm_sync_answer_new (request, cut);
  g_autoptr (GError) failure = NULL;

  if (!request->initial && !request->full_state && cm_sync_hub_recent (hub, answer, &failure))
    return g_steal_pointer (&answer);
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  cm_sync_answer_free (answer);
  answer = cm_sync_answer_new (request, cut);
  if (!cm_sync_gather (answer, error))
    return NULL;
  cm_sync_hub_prime (hub, answer);
  return g_steal_pointer (&answer);
}
