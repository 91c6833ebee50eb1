#include "federation/key-ring.h"

#include "federation/clock.h"
#include "federation/key-fetch.h"

#define MAX_SIGNATURES_TRIED 4

struct _CmKeyRing {
  char *server_name;
  CmSigningKey *own;
  GPtrArray *old; /* this server's expired keys, of CmServerKey */
  CmKeyStore *store;
  CmKeyFetch *fetch;
};

static char *
find_own (CmKeyRing *ring, const char *key_id, gint64 when_ms)
{
  if (g_strcmp0 (key_id, cm_signing_key_id (ring->own)) == 0)
    return g_strdup (cm_signing_key_public (ring->own));
  for (guint i = 0; i < ring->old->len; i++) {
    const CmServerKey *key = ring->old->pdata[i];

    if (g_strcmp0 (key->key_id, key_id) == 0 &&
        cm_server_key_is_good (key, when_ms, cm_clock_ms ()))
      return g_strdup (key->public_key);
  }
  return NULL;
}

/* (transfer full) from memory or the database; NULL without @error when it is in neither. */
static char *
find_kept (CmKeyRing *ring, const char *server, const char *key_id, gint64 when_ms, GError **error)
{
  const char *const servers[] = { server, NULL };
  char *key = cm_key_store_find (ring->store, server, key_id, when_ms);

  if (key != NULL || !cm_key_store_load (ring->store, servers, error))
    return key;
  return cm_key_store_find (ring->store, server, key_id, when_ms);
}

static void
set_missing (const char *server, const char *key_id, GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_UNAUTHORIZED, "Key %s of %s is not to be had", key_id,
               server);
}

char *
cm_key_ring_kept (CmKeyRing *ring, const char *server, const char *key_id, GError **error)
{
  g_autoptr (GError) failure = NULL;
  char *key = find_kept (ring, server, key_id, 0, &failure);

  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  else if (key == NULL)
    set_missing (server, key_id, error);
  return key;
}

static char *
find_or_fetch (CmKeyRing *ring, const char *server, const char *key_id, gint64 when_ms,
               GError **error)
{
  g_autoptr (GHashTable) wanted = NULL;
  g_autoptr (GError) failure = NULL;
  char *key = find_kept (ring, server, key_id, when_ms, &failure);

  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  else if (key == NULL)
    wanted = cm_wanted_keys_new ();
  if (wanted == NULL)
    return key;
  cm_wanted_keys_add (wanted, server, key_id);
  cm_key_fetch_run (ring->fetch, wanted, when_ms);
  key = cm_key_store_find (ring->store, server, key_id, when_ms);
  if (key == NULL)
    set_missing (server, key_id, error);
  return key;
}

char *
cm_key_ring_get (CmKeyRing *ring, const char *server, const char *key_id, gint64 when_ms,
                 GError **error)
{
  char *key;

  if (g_strcmp0 (server, ring->server_name) != 0)
    return find_or_fetch (ring, server, key_id, when_ms, error);
  key = find_own (ring, key_id, when_ms);
  if (key == NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_UNAUTHORIZED, "This server has no key %s", key_id);
  return key;
}

void
cm_key_ring_prefetch (CmKeyRing *ring, const char *const *servers, const char *const *key_ids,
                      gsize count)
{
  g_autoptr (GHashTable) wanted = cm_wanted_keys_new ();
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) names = NULL;

  for (gsize i = 0; i < count; i++)
    g_strv_builder_add (builder, servers[i]);
  names = g_strv_builder_end (builder);
  if (!cm_key_store_load (ring->store, (const char *const *) names, NULL))
    return;
  for (gsize i = 0; i < count; i++)
    if (!cm_key_store_knows (ring->store, servers[i], key_ids[i]))
      cm_wanted_keys_add (wanted, servers[i], key_ids[i]);
  /* When the keys were good is asked for each event. */
  cm_key_fetch_run (ring->fetch, wanted, 1);
}

gboolean
cm_key_ring_verify_json (CmKeyRing *ring, const CmJson *object, const char *server, gint64 when_ms,
                         GError **error)
{
  const CmJson *signatures = cm_json_get_object (cm_json_get_object (object, "signatures"), server);
  CmJsonIter iter;
  const char *key_id;
  guint tried = 0;

  cm_json_iter_init (&iter, signatures);
  while (tried < MAX_SIGNATURES_TRIED && cm_json_iter_next (&iter, &key_id, NULL)) {
    g_autofree char *key = NULL;

    if (!g_str_has_prefix (key_id, "ed25519:"))
      continue;
    tried++;
    key = cm_key_ring_get (ring, server, key_id, when_ms, NULL);
    if (key != NULL && cm_verify_json (object, server, key_id, key, NULL))
      return TRUE;
  }
  g_set_error (error, CM_ERROR, CM_ERROR_UNAUTHORIZED, "There is no valid signature of %s", server);
  return FALSE;
}

CmJsonDoc *
cm_key_ring_own_document (CmKeyRing *ring, GError **error)
{
  return cm_key_document_make (ring->server_name, ring->own, ring->old, cm_clock_ms (), error);
}

/* (transfer full) the document that is there, signed by this server too; NULL without @error when
 * there is none, or @key_id (nullable) does not stand in it. */
static CmJsonDoc *
find_document (CmKeyRing *ring, const char *server, const char *key_id, gint64 *valid_until,
               GError **error)
{
  g_autoptr (GBytes) bytes = cm_key_store_document (ring->store, server, valid_until, error);
  g_autoptr (CmJsonDoc) doc = bytes != NULL ? cm_json_parse_bytes (bytes, error) : NULL;

  if (doc == NULL || (key_id != NULL && !cm_key_document_names (cm_json_doc_root (doc), key_id)))
    return NULL;
  return cm_sign_json (cm_json_doc_root (doc), ring->server_name, ring->own, error);
}

CmJsonDoc *
cm_key_ring_document (CmKeyRing *ring, const char *server, const char *key_id,
                      gint64 minimum_valid_until_ms, gboolean may_ask, GError **error)
{
  g_autoptr (CmJsonDoc) doc = NULL;
  g_autoptr (GError) failure = NULL;
  gint64 valid_until;

  if (g_strcmp0 (server, ring->server_name) == 0)
    return cm_key_ring_own_document (ring, error);
  doc = find_document (ring, server, key_id, &valid_until, &failure);
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (!may_ask || (doc != NULL && valid_until >= minimum_valid_until_ms))
    return g_steal_pointer (&doc);
  cm_key_fetch_document (ring->fetch, server);
  return find_document (ring, server, key_id, &valid_until, error);
}

CmKeyRing *
cm_key_ring_new (CmPool *pool, CmFedClient *client, const char *server_name, CmSigningKey *own,
                 const char *const *trusted_key_servers, GError **error)
{
  g_autoptr (CmKeyRing) ring = g_new0 (CmKeyRing, 1);

  ring->server_name = g_strdup (server_name);
  ring->own = cm_signing_key_ref (own);
  ring->store = cm_key_store_new (pool);
  ring->fetch = cm_key_fetch_new (ring->store, client, server_name, trusted_key_servers);
  ring->old = cm_key_store_set_own (ring->store, server_name, own, error);
  if (ring->old == NULL)
    return NULL;
  return g_steal_pointer (&ring);
}

void
cm_key_ring_free (CmKeyRing *ring)
{
  g_clear_pointer (&ring->fetch, cm_key_fetch_free);
  g_clear_pointer (&ring->store, cm_key_store_free);
  g_clear_pointer (&ring->old, g_ptr_array_unref);
  cm_signing_key_unref (ring->own);
  g_free (ring->server_name);
  g_free (ring);
}
