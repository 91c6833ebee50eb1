#include "server/e2ee/key-claim.h"

#include "crypto/id.h"
#include "federation/fed-client.h"
#include "schema/device-key.h"
#include "server/e2ee/gather.h"
#include "server/node.h"

#include <string.h>

#define MAX_ANSWER (8 * 1024 * 1024)

/* A key that was got: its name ("algorithm:id") and what it is. */
typedef struct {
  char *name;
  GBytes *key;
} Claimed;

typedef struct {
  const CmJson *wanted;
  GHashTable *users;    /* user id -> device id -> Claimed */
  GHashTable *failures; /* a set of server names; NULL where none are told */
} Answer;

static void
claimed_free (gpointer data)
{
  Claimed *claimed = data;

  g_free (claimed->name);
  g_bytes_unref (claimed->key);
  g_free (claimed);
}

static Answer *
answer_new (const CmJson *wanted)
{
  Answer *answer = g_new (Answer, 1);

  answer->wanted = wanted;
  answer->users =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_hash_table_unref);
  answer->failures = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return answer;
}

static void
answer_free (gpointer data)
{
  Answer *answer = data;

  g_hash_table_unref (answer->users);
  g_hash_table_unref (answer->failures);
  g_free (answer);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Answer, answer_free)

static void
add (Answer *answer, const char *user_id, const char *device_id, char *name, GBytes *key)
{
  GHashTable *devices = g_hash_table_lookup (answer->users, user_id);
  Claimed *claimed = g_new (Claimed, 1);

  if (devices == NULL) {
    devices = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, claimed_free);
    g_hash_table_insert (answer->users, g_strdup (user_id), devices);
  }
  *claimed = (Claimed){ name, key };
  g_hash_table_replace (devices, g_strdup (device_id), claimed);
}

static gboolean
has (const Answer *answer, const char *user_id, const char *device_id)
{
  GHashTable *devices = g_hash_table_lookup (answer->users, user_id);

  return devices != NULL && g_hash_table_contains (devices, device_id);
}

gboolean
cm_key_claim_check (const CmJson *wanted, GError **error)
{
  gboolean good = cm_json_type (wanted) == CM_JSON_OBJECT;
  const CmJson *devices, *algorithm;
  CmJsonIter users, iter;

  cm_json_iter_init (&users, wanted);
  while (good && cm_json_iter_next (&users, NULL, &devices)) {
    good = cm_id_is_user (cm_json_text (users.key)) && cm_json_type (devices) == CM_JSON_OBJECT;
    cm_json_iter_init (&iter, devices);
    while (good && cm_json_iter_next (&iter, NULL, &algorithm))
      good = cm_json_text (iter.key) != NULL && cm_json_text (algorithm) != NULL;
  }
  if (!good)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON,
                         "one_time_keys must hold an algorithm for each device of each user");
  return good;
}

/* The devices of this server's that are wanted and have got none yet, as three strv of borrowed
 * texts. */
typedef struct {
  GPtrArray *lists[3];
} Triples;

static Triples
missing_here (const Answer *answer, const char *server_name)
{
  Triples triples = { { g_ptr_array_new (), g_ptr_array_new (), g_ptr_array_new () } };
  const CmJson *devices, *algorithm;
  CmJsonIter users, iter;

  cm_json_iter_init (&users, answer->wanted);
  while (cm_json_iter_next (&users, NULL, &devices)) {
    const char *user_id = cm_json_text (users.key);
    if (!cm_id_domain_is (user_id, server_name))
      continue;
    cm_json_iter_init (&iter, devices);
    while (cm_json_iter_next (&iter, NULL, &algorithm)) {
      if (has (answer, user_id, cm_json_text (iter.key)))
        continue;
      g_ptr_array_add (triples.lists[0], (gpointer) user_id);
      g_ptr_array_add (triples.lists[1], (gpointer) cm_json_text (iter.key));
      g_ptr_array_add (triples.lists[2], (gpointer) cm_json_text (algorithm));
    }
  }
  for (gsize i = 0; i < G_N_ELEMENTS (triples.lists); i++)
    g_ptr_array_add (triples.lists[i], NULL);
  return triples;
}

typedef CmRows *(*Claim) (CmDb *db, const CmKeyClaim *claim, GError **error);

static gboolean
claim_with (Answer *answer, CmNode *node, CmDb *db, Claim claim, GError **error)
{
  Triples triples = missing_here (answer, node->server_name);
  const CmKeyClaim wanted = { (char **) triples.lists[0]->pdata, (char **) triples.lists[1]->pdata,
                              (char **) triples.lists[2]->pdata };
  g_autoptr (CmRows) rows = claim (db, &wanted, error);

  for (gsize i = 0; i < G_N_ELEMENTS (triples.lists); i++)
    g_ptr_array_unref (triples.lists[i]);
  if (rows == NULL)
    return FALSE;
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    add (answer, cm_rows_text (rows, i, 0), cm_rows_text (rows, i, 1),
         g_strdup_printf ("%s:%s", cm_rows_text (rows, i, 2), cm_rows_text (rows, i, 3)),
         cm_rows_bytes (rows, i, 4));
  return TRUE;
}

static gboolean
claim_here (Answer *answer, CmNode *node, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL && claim_with (answer, node, db, cm_one_time_keys_claim, error) &&
         claim_with (answer, node, db, cm_fallback_keys_claim, error);
}

static void
put_user (CmJsonWriter *writer, const char *user_id, GHashTable *devices)
{
  GHashTableIter iter;
  const char *device_id;
  Claimed *claimed;

  cm_json_open_object (writer, user_id);
  g_hash_table_iter_init (&iter, devices);
  while (g_hash_table_iter_next (&iter, (gpointer *) &device_id, (gpointer *) &claimed)) {
    cm_json_open_object (writer, device_id);
    cm_json_put_bytes (writer, claimed->name, claimed->key);
    cm_json_close (writer);
  }
  cm_json_close (writer);
}

static CmReply *
reply (const Answer *answer, gboolean with_failures)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  GHashTableIter iter;
  const char *name;
  GHashTable *devices;

  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "one_time_keys");
  g_hash_table_iter_init (&iter, answer->users);
  while (g_hash_table_iter_next (&iter, (gpointer *) &name, (gpointer *) &devices))
    put_user (writer, name, devices);
  cm_json_close (writer);
  if (with_failures)
    cm_json_open_object (writer, "failures");
  g_hash_table_iter_init (&iter, answer->failures);
  while (with_failures && g_hash_table_iter_next (&iter, (gpointer *) &name, NULL)) {
    cm_json_open_object (writer, name);
    cm_json_close (writer);
  }
  if (with_failures)
    cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* What another server gave for one device: the first key of the algorithm that was asked for. */
static void
take_told (Answer *answer, const char *user_id, const char *device_id, const char *algorithm,
           const CmJson *keys)
{
  const CmJson *key;
  CmJsonIter iter;

  cm_json_iter_init (&iter, keys);
  while (cm_json_iter_next (&iter, NULL, &key)) {
    const char *name = cm_json_text (iter.key);
    gsize length = strlen (algorithm);
    if (name == NULL || !g_str_has_prefix (name, algorithm) || name[length] != ':' ||
        (cm_json_type (key) != CM_JSON_OBJECT && cm_json_type (key) != CM_JSON_STRING))
      continue;
    g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
    cm_json_put_node (writer, NULL, key);
    add (answer, user_id, device_id, g_strdup (name), cm_json_writer_end (writer));
    return;
  }
}

/* Only users whom @server was asked for, and devices of theirs: whatever else stands in @body is
 * nobody's to say. */
static void
take_answer (Answer *answer, GPtrArray *user_ids, const CmJson *body)
{
  const CmJson *told = cm_json_get (body, "one_time_keys");
  const CmJson *algorithm;
  CmJsonIter iter;

  for (guint i = 0; i < user_ids->len; i++) {
    const char *user_id = user_ids->pdata[i];
    const CmJson *devices = cm_json_get (told, user_id);
    cm_json_iter_init (&iter, cm_json_get (answer->wanted, user_id));
    while (cm_json_iter_next (&iter, NULL, &algorithm)) {
      const char *device_id = cm_json_text (iter.key);
      take_told (answer, user_id, device_id, cm_json_text (algorithm),
                 cm_json_get_object (devices, device_id));
    }
  }
}

static CmJsonDoc *
request_content (const CmJson *wanted, GPtrArray *user_ids)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "one_time_keys");
  for (guint i = 0; i < user_ids->len; i++)
    cm_json_put_node (writer, user_ids->pdata[i], cm_json_get (wanted, user_ids->pdata[i]));
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

static gboolean
ask (CmGather *gather, const char *server, gpointer user_ids)
{
  Answer *answer = cm_gather_answer (gather);
  g_autoptr (CmJsonDoc) content = request_content (answer->wanted, user_ids);
  const CmFedRequest request = { .method = "POST",
                                 .target = "/_matrix/federation/v1/user/keys/claim",
                                 .content = cm_json_doc_root (content),
                                 .max_bytes = MAX_ANSWER,
                                 .timeout_ms = cm_gather_left (gather) };
  g_autoptr (CmJsonDoc) body = NULL;

  if (request.timeout_ms > 0)
    body = cm_fed_call (cm_gather_node (gather)->fed_client, server, &request, NULL, NULL);
  if (body == NULL)
    return FALSE;
  cm_gather_lock (gather);
  take_answer (answer, user_ids, cm_json_doc_root (body));
  cm_gather_unlock (gather);
  return TRUE;
}

static void
fail (gpointer data, const char *server)
{
  Answer *answer = data;

  g_hash_table_add (answer->failures, g_strdup (server));
}

static CmReply *
finish (gpointer answer)
{
  return reply (answer, TRUE);
}

static const CmGatherKind kind = {
  .ask = ask,
  .fail = fail,
  .finish = finish,
  .free_answer = answer_free,
  .free_request = (GDestroyNotify) g_ptr_array_unref,
};

/* Server name -> GPtrArray of the wanted users there; all borrowed from @wanted but the arrays. */
static GHashTable *
sort_out (CmNode *node, const CmJson *wanted)
{
  GHashTable *servers =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);
  CmJsonIter iter;

  cm_json_iter_init (&iter, wanted);
  while (cm_json_iter_next (&iter, NULL, NULL)) {
    const char *user_id = cm_json_text (iter.key);
    const char *server = cm_id_domain (user_id);
    if (cm_id_domain_is (user_id, node->server_name))
      continue;
    GPtrArray *users = g_hash_table_lookup (servers, server);
    if (users == NULL) {
      users = g_ptr_array_new ();
      g_hash_table_insert (servers, (gpointer) server, users);
    }
    g_ptr_array_add (users, (gpointer) user_id);
  }
  return servers;
}

CmReply *
cm_key_claim (CmCall *call, const CmJson *wanted, guint timeout_ms, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (GHashTable) servers = sort_out (node, wanted);
  g_autoptr (Answer) answer = answer_new (wanted);
  GHashTableIter iter;
  const char *server;
  GPtrArray *users;

  if (!claim_here (answer, node, error))
    return NULL;
  CmGather *gather = cm_gather_new (call, &kind, g_steal_pointer (&answer), timeout_ms);
  g_hash_table_iter_init (&iter, servers);
  while (g_hash_table_iter_next (&iter, (gpointer *) &server, (gpointer *) &users))
    cm_gather_add (gather, server, g_ptr_array_ref (users));
  return cm_gather_run (gather);
}

CmReply *
cm_key_claim_here (CmNode *node, const CmJson *wanted, GError **error)
{
  g_autoptr (Answer) answer = answer_new (wanted);

  return claim_here (answer, node, error) ? reply (answer, FALSE) : NULL;
}
