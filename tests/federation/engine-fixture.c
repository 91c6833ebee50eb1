#include "tests/federation/engine-fixture.h"

#include "federation/destinations.h"
#include "federation/draft.h"
#include "tests/federation/fixture.h"

#include <string.h>

static GMutex told_mutex;
static GString *told;

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Stands in for federation/destinations, which is not linked: who is told of what. */
void
cm_destinations_event (CmWrite *write, gint64 event, gint64 offset, const char *const *servers)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&told_mutex);
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
  g_assert_cmpint (event, >, 0);
  g_assert_cmpint (offset, >=, 0);
  for (gsize i = 0; servers[i] != NULL; i++)
    g_ptr_array_add (sorted, (char *) servers[i]);
  g_ptr_array_sort (sorted, compare_texts);
  g_ptr_array_add (sorted, NULL);
  g_autofree char *list = g_strjoinv (",", (char **) sorted->pdata);
  if (told == NULL)
    told = g_string_new (NULL);
  g_string_append_printf (told, "%s%s", told->len > 0 ? " " : "", list);
}

char *
engine_told (void)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&told_mutex);
  return told != NULL ? g_string_free (g_steal_pointer (&told), FALSE) : g_strdup ("");
}

static void
start (Engine *engine)
{
  g_autoptr (GError) error = NULL;
  engine->ids = cm_ids_new (engine->pool, &error);
  g_assert_no_error (error);
  engine->committer = cm_committer_new (engine->pool, &error);
  g_assert_no_error (error);
  CmRoomsParts parts = {
    .pool = engine->pool,
    .ids = engine->ids,
    .committer = engine->committer,
    .key = engine->key,
    .server_name = HERE,
    .hooks = engine->hooks,
  };
  engine->rooms = cm_rooms_new (&parts, &error);
  g_assert_no_error (error);
}

static void
stop (Engine *engine)
{
  cm_rooms_free (engine->rooms);
  cm_committer_free (engine->committer);
  cm_ids_free (engine->ids);
}

/* One database serves all tests of a program: to empty it takes a tenth of the time of copying. */
static CmPool *
empty_database (TestCluster *cluster)
{
  static char dsn[1024];
  g_autoptr (GError) error = NULL;
  if (dsn[0] == '\0') {
    g_autofree char *made = test_cluster_database (cluster, TRUE);
    g_strlcpy (dsn, made, sizeof dsn);
  }
  CmPool *pool = cm_pool_new (dsn, 8, &error);
  g_assert_no_error (error);
  g_autoptr (CmDb) db = cm_pool_get (pool, &error);
  g_assert_no_error (error);
  cm_db_script (
      db,
      "TRUNCATE room, event, event_json, missing_event, pending_redaction, state, "
      "current_state, member, member_history, room_server, client_transaction, room_alias, sym",
      &error);
  g_assert_no_error (error);
  return pool;
}

Engine *
engine_new (TestCluster *cluster)
{
  Engine *engine = g_new0 (Engine, 1);
  engine->pool = empty_database (cluster);
  engine->key = cm_signing_key_generate ();
  engine->other = cm_signing_key_generate ();
  start (engine);
  return engine;
}

void
engine_free (Engine *engine)
{
  stop (engine);
  cm_pool_free (engine->pool);
  cm_signing_key_unref (engine->key);
  cm_signing_key_unref (engine->other);
  g_free (engine);
}

void
engine_restart (Engine *engine)
{
  stop (engine);
  start (engine);
}

CmRoom *
engine_room (Engine *engine, const char *version, const char *creator)
{
  g_autoptr (GError) error = NULL;
  const CmRoomVersion *row = cm_room_version_find (version);
  g_autoptr (CmJsonDoc) create =
      row->create_has_creator
          ? fixture_json ("{'room_version':'%s','creator':'%s'}", version, creator)
          : fixture_json ("{'room_version':'%s'}", version);
  g_autoptr (CmJsonDoc) join = fixture_json ("{'membership':'join'}");
  g_autoptr (CmJsonDoc) power = row->creators_are_privileged
                                    ? fixture_json ("{'users_default':0}")
                                    : fixture_json ("{'users':{'%s':100}}", creator);
  g_autoptr (CmJsonDoc) rules = fixture_json ("{'join_rule':'public'}");
  CmDraft first = {
    "m.room.create", "", creator, cm_json_doc_root (create), NULL, 0, NULL, NULL, NULL
  };
  CmDraft drafts[] = {
    { "m.room.member", creator, creator, cm_json_doc_root (join), NULL, 0, NULL, NULL, NULL },
    { "m.room.power_levels", "", creator, cm_json_doc_root (power), NULL, 0, NULL, NULL, NULL },
    { "m.room.join_rules", "", creator, cm_json_doc_root (rules), NULL, 0, NULL, NULL, NULL },
  };
  CmRoom *room = cm_rooms_create (engine->rooms, row, &first, drafts, G_N_ELEMENTS (drafts), NULL,
                                  NULL, &error);
  g_assert_no_error (error);
  return room;
}

CmRoom *
engine_get (Engine *engine, const char *room_id)
{
  g_autoptr (GError) error = NULL;
  CmRoom *room = cm_rooms_get (engine->rooms, room_id, &error);
  g_assert_no_error (error);
  return room;
}

CmEvent *
engine_try (CmRoom *room, const char *sender, const char *type, const char *state_key,
            const char *content, GError **error)
{
  g_autoptr (CmJsonDoc) doc = fixture_json ("%s", content);
  CmDraft draft = {
    .type = type, .state_key = state_key, .sender = sender, .content = cm_json_doc_root (doc)
  };
  return cm_room_append_one (room, &draft, error);
}

CmEvent *
engine_send (CmRoom *room, const char *sender, const char *type, const char *state_key,
             const char *content)
{
  g_autoptr (GError) error = NULL;
  CmEvent *event = engine_try (room, sender, type, state_key, content, &error);
  g_assert_no_error (error);
  g_assert_nonnull (event);
  return event;
}

CmEvent *
engine_redact (CmRoom *room, const char *sender, const char *target, GError **error)
{
  g_autoptr (CmJsonDoc) doc = fixture_json ("{}");
  CmDraft draft = { .type = "m.room.redaction",
                    .sender = sender,
                    .content = cm_json_doc_root (doc),
                    .redacts = target };
  return cm_room_append_one (room, &draft, error);
}

void
engine_member (CmRoom *room, const char *sender, const char *user, const char *membership)
{
  g_autofree char *content = g_strdup_printf ("{'membership':'%s'}", membership);
  g_autoptr (CmEvent) event = engine_send (room, sender, "m.room.member", user, content);
}

CmEvent *
engine_foreign (Engine *engine, CmRoom *room, const char *sender, const char *type,
                const char *state_key, const char *content, const char *changes)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) doc = fixture_json ("%s", content);
  g_autoptr (CmRoomView) view = cm_room_view (room);
  CmDraft draft = {
    .type = type, .state_key = state_key, .sender = sender, .content = cm_json_doc_root (doc)
  };
  g_autoptr (CmJsonDoc) object = cm_draft_compose (room, &draft, &error);
  g_assert_no_error (error);
  g_autoptr (CmJsonDoc) replace = fixture_json ("%s", changes != NULL ? changes : "{}");
  CmJsonIter iter;
  const char *key;
  const CmJson *value;
  cm_json_iter_init (&iter, cm_json_doc_root (replace));
  while (cm_json_iter_next (&iter, &key, &value)) {
    g_autoptr (GBytes) text = cm_json_canonical (value, NULL, NULL);
    g_autofree char *json = g_strndup (g_bytes_get_data (text, NULL), g_bytes_get_size (text));
    CmJsonDoc *next = fixture_with (cm_json_doc_root (object), key, json);
    cm_json_doc_unref (object);
    object = next;
  }
  CmEvent *event =
      cm_event_build (view->version, cm_json_doc_root (object), THERE, engine->other, &error);
  g_assert_no_error (error);
  return event;
}

gboolean
engine_history (Engine *engine, CmRoomWrite *write, CmEvent *event, CmVerdict *verdict)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) positions = cm_rooms_history_positions (engine->rooms, 1, &error);
  g_assert_no_error (error);
  gboolean added = cm_room_write_history (write, event, NULL, g_array_index (positions, gint64, 0),
                                          verdict, &error);
  g_assert_no_error (error);
  return added;
}

CmVerdict
engine_receive (CmRoom *room, CmEvent *event)
{
  g_autoptr (GError) error = NULL;
  CmVerdict verdict;
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (room, NULL, &error);
  g_assert_no_error (error);
  cm_room_write_live (write, event, NULL, 0, &verdict, &error);
  g_assert_no_error (error);
  cm_room_write_commit (g_steal_pointer (&write), &error);
  g_assert_no_error (error);
  return verdict;
}

/* A test may have killed the server a moment ago. */
static CmRows *
query_patiently (Engine *engine, const CmSql *sql)
{
  for (guint tries = 0;; tries++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CmDb) db = cm_pool_get (engine->pool, &error);
    CmRows *rows = db != NULL ? cm_db_query (db, sql, CM_NO_ARGS, &error) : NULL;
    if (rows != NULL)
      return rows;
    if (tries == 100)
      g_assert_no_error (error);
    g_assert_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE);
    g_usleep (50 * G_TIME_SPAN_MILLISECOND);
  }
}

char *
engine_value (Engine *engine, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *query = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *text = g_strdup_printf ("SELECT x::text FROM (%s) AS answer (x)", query);
  g_autofree char *name = g_compute_checksum_for_string (G_CHECKSUM_SHA1, text, -1);
  /* A prepared statement's texts are borrowed for as long as its connection lives. */
  CmSql sql = { g_intern_string (name), g_intern_string (text) };
  g_autoptr (CmRows) rows = query_patiently (engine, &sql);
  return cm_rows_count (rows) > 0 ? g_strdup (cm_rows_text (rows, 0, 0)) : NULL;
}
