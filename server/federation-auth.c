#include "server/federation-auth.h"

#include "crypto/id.h"
#include "federation/key-ring.h"
#include "federation/x-matrix.h"
#include "server/config/config.h"

#include <string.h>

/* A server may sign with several keys, one header each; so many are looked at. */
#define MAX_HEADERS 4

static gboolean
refuse (GError **error, const char *why)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAUTHORIZED, why);
  return FALSE;
}

/* (transfer full) what a header says, of a server that may be asked. */
static CmXMatrix *
read_header (CmNode *node, const char *value, GError **error)
{
  g_autoptr (CmXMatrix) header = cm_x_matrix_parse (value, error);

  if (header == NULL ||
      (cm_id_is_server_name (header->origin) && strcmp (header->origin, node->server_name) != 0))
    return g_steal_pointer (&header);
  refuse (error, "The origin is no other server");
  return NULL;
}

/* The signature covers the request as it was sent: the target in its very bytes, the body as JSON,
 * and this server's name, so that nobody can show it elsewhere (class fed-replay). This runs where
 * everybody's calls do, so that a key that must be fetched is none (class fed-key-starvation). */
static gboolean
check (CmNode *node, CmCall *call, const CmXMatrix *header, GError **error)
{
  g_autofree char *key = cm_key_ring_kept (node->key_ring, header->origin, header->key, error);

  return key != NULL && cm_x_matrix_verify (header, cm_call_method (call), cm_call_target (call),
                                            node->server_name, cm_call_json (call), key, error);
}

/* (transfer full) the origin that a header proves. */
static char *
prove_origin (CmNode *node, CmCall *call, const char *value, GError **error)
{
  g_autoptr (CmXMatrix) header = read_header (node, value, error);

  return header != NULL && check (node, call, header, error) ? g_strdup (header->origin) : NULL;
}

CmRequester *
cm_federation_authenticate (CmNode *node, CmCall *call, GError **error)
{
  g_autoptr (GPtrArray) headers = cm_call_headers (call, "Authorization");
  g_autoptr (GError) failure = NULL;

  if (!node->config->federation.enabled) {
    refuse (error, "This server does not federate");
    return NULL;
  }
  for (guint i = 0; i < headers->len && i < MAX_HEADERS; i++) {
    g_clear_error (&failure);
    char *origin = prove_origin (node, call, headers->pdata[i], &failure);
    if (origin == NULL)
      continue;
    CmRequester *requester = g_new0 (CmRequester, 1);
    requester->origin = origin;
    cm_fed_client_heard (node->fed_client, origin);
    return requester;
  }
  if (failure == NULL)
    refuse (error, "The request is not signed");
  else
    g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}

/* One key that would have to be fetched makes a stranger, whatever else is named beside it. */
gboolean
cm_federation_is_known (CmNode *node, CmCall *call)
{
  g_autoptr (GPtrArray) headers = cm_call_headers (call, "Authorization");
  gboolean known = FALSE;

  for (guint i = 0; node->config->federation.enabled && i < headers->len && i < MAX_HEADERS; i++) {
    g_autoptr (CmXMatrix) header = read_header (node, headers->pdata[i], NULL);
    if (header == NULL)
      continue;
    g_autofree char *key = cm_key_ring_kept (node->key_ring, header->origin, header->key, NULL);
    if (key == NULL)
      return FALSE;
    known = TRUE;
  }
  return known;
}

gboolean
cm_federation_meet (CmNode *node, CmCall *call, GError **error)
{
  g_autoptr (GPtrArray) headers = cm_call_headers (call, "Authorization");
  g_autoptr (GError) failure = NULL;

  if (!node->config->federation.enabled)
    return refuse (error, "This server does not federate");
  for (guint i = 0; i < headers->len && i < MAX_HEADERS; i++) {
    g_clear_error (&failure);
    g_autoptr (CmXMatrix) header = read_header (node, headers->pdata[i], &failure);
    g_autofree char *key =
        header != NULL ? cm_key_ring_get (node->key_ring, header->origin, header->key, 0, &failure)
                       : NULL;
    if (key != NULL)
      return TRUE;
  }
  if (failure == NULL)
    return refuse (error, "The request is not signed");
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}
