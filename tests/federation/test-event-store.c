#include "tests/federation/engine-fixture.h"
#include "tests/federation/fixture.h"

static TestCluster *cluster;

typedef struct {
  Engine *engine;
  char *room_id;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->engine = engine_new (cluster);
  g_autoptr (CmRoom) room = engine_room (fixture->engine, "11", ALICE);
  g_autoptr (CmRoomView) view = cm_room_view (room);
  fixture->room_id = g_strdup (view->room_id);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_free (fixture->room_id);
  engine_free (fixture->engine);
}

static CmEvent *
say (Fixture *fixture, const char *text)
{
  g_autofree char *content = g_strdup_printf ("{'msgtype':'m.text','body':'%s'}", text);
  g_autoptr (CmRoom) room = engine_get (fixture->engine, fixture->room_id);
  return engine_send (room, ALICE, "m.room.message", NULL, content);
}

static const char *
body_of (const CmEvent *event)
{
  return cm_json_get_text (event->content, "body");
}

/* All that an event was when it was written, it is when it is read. */
static void
test_read_back (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) written = say (fixture, "hello");
  g_autofree char *event_id = g_strdup (written->event_id);
  engine_restart (fixture->engine);
  CmEventStore *store = cm_rooms_events (fixture->engine->rooms);
  g_autoptr (CmEvent) read = cm_event_store_find (store, event_id, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (read->bytes, written->bytes));
  g_assert_cmpstr (read->room_id, ==, fixture->room_id);
  g_assert_cmpint (read->number, ==, written->number);
  g_assert_cmpint (read->position, ==, written->position);
  g_assert_cmpint (read->position, >, 0);
  g_assert_cmpint (read->state_before, ==, written->state_before);
  g_assert_cmpint (read->state_after, ==, written->state_after);
  g_assert_cmpuint (read->type_sym, ==, written->type_sym);
  g_assert_cmpuint (read->sender_sym, ==, written->sender_sym);
  g_assert_cmpuint (read->room_sym, ==, written->room_sym);
  g_assert_cmpuint (read->state_key_sym, ==, 0);
  g_assert_cmpuint (read->prev->len, ==, 1);
  g_assert_cmpuint (read->auth->len, ==, 3);
  g_autoptr (CmEvent) same = cm_event_store_get (store, read->number, &error);
  g_assert_true (same == read);
}

static void
test_many (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) a = say (fixture, "a"), b = say (fixture, "b");
  engine_restart (fixture->engine);
  CmEventStore *store = cm_rooms_events (fixture->engine->rooms);
  gint64 numbers[] = { b->number, 999999, a->number, b->number };
  g_autoptr (GPtrArray) events = cm_event_store_get_many (store, numbers, 4, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (events->len, ==, 4);
  g_assert_cmpstr (body_of (events->pdata[0]), ==, "b");
  g_assert_null (events->pdata[1]);
  g_assert_cmpstr (body_of (events->pdata[2]), ==, "a");
  g_assert_true (events->pdata[3] == events->pdata[0]);

  const char *ids[] = { "$nothing", a->event_id, b->event_id };
  g_autoptr (GPtrArray) found = cm_event_store_find_many (store, ids, 3, &error);
  g_assert_no_error (error);
  g_assert_null (found->pdata[0]);
  g_assert_cmpstr (body_of (found->pdata[1]), ==, "a");
  g_assert_cmpstr (body_of (found->pdata[2]), ==, "b");
}

static void
test_unknown (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmEventStore *store = cm_rooms_events (fixture->engine->rooms);
  g_assert_null (cm_event_store_get (store, 999999, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
  g_assert_null (cm_event_store_find (store, "$nothing", &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
  g_assert_null (cm_event_store_original (store, 999999, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
}

/* Every way to an event gives its pruned form, from memory and from the database. */
static void
test_cve_2024_6300_redaction_leak (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) secret = say (fixture, "secret");
  g_autofree char *event_id = g_strdup (secret->event_id);
  {
    g_autoptr (CmRoom) room = engine_get (fixture->engine, fixture->room_id);
    g_autoptr (CmEvent) redaction = engine_redact (room, ALICE, event_id, &error);
    g_assert_no_error (error);
  }
  for (guint i = 0; i < 2; i++) {
    CmEventStore *store = cm_rooms_events (fixture->engine->rooms);
    gint64 number = secret->number;
    const char *ids[] = { event_id };
    g_autoptr (CmEvent) one = cm_event_store_get (store, number, &error),
                        two = cm_event_store_find (store, event_id, &error);
    g_autoptr (GPtrArray) three = cm_event_store_get_many (store, &number, 1, &error);
    g_autoptr (GPtrArray) four = cm_event_store_find_many (store, ids, 1, &error);
    g_assert_no_error (error);
    const CmEvent *all[] = { one, two, three->pdata[0], four->pdata[0] };
    for (guint j = 0; j < G_N_ELEMENTS (all); j++) {
      g_assert_null (body_of (all[j]));
      g_assert_true ((all[j]->flags & CM_EVENT_REDACTED) != 0);
      g_assert_nonnull (all[j]->redacted_because);
      g_assert_cmpint (all[j]->position, ==, secret->position);
    }
    g_autoptr (CmEvent) original = cm_event_store_original (store, number, &error);
    g_assert_no_error (error);
    g_assert_cmpstr (body_of (original), ==, "secret");
    g_clear_pointer (&one, cm_event_unref);
    g_clear_pointer (&two, cm_event_unref);
    g_clear_pointer (&three, g_ptr_array_unref);
    g_clear_pointer (&four, g_ptr_array_unref);
    engine_restart (fixture->engine);
  }
}

static void
spoil_row (Fixture *fixture, gint64 number)
{
  static const CmSql spoil = { "test-spoil", "UPDATE event_json SET json = '[]' WHERE id = $1" };
  g_autoptr (GError) error = NULL;
  g_autoptr (CmDb) db = cm_pool_get (fixture->engine->pool, &error);
  g_assert_true (cm_db_run (db, &spoil, CM_ARGS (CM_INT (number)), NULL, &error));
}

/* One row that cannot be read must not spoil those around it. */
static void
test_stored_bad_type (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) a = say (fixture, "a"), b = say (fixture, "b");
  spoil_row (fixture, a->number);
  engine_restart (fixture->engine);
  gint64 numbers[] = { a->number, b->number };
  g_autoptr (GPtrArray) events =
      cm_event_store_get_many (cm_rooms_events (fixture->engine->rooms), numbers, 2, &error);
  g_assert_no_error (error);
  g_assert_null (events->pdata[0]);
  g_assert_cmpstr (body_of (events->pdata[1]), ==, "b");
}

/* A cache of one event forgets the first with the second: what it reads then is what the database
 * has by now. */
static void
test_bounded (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) a = say (fixture, "a"), b = say (fixture, "b");
  g_autoptr (CmEventStore) store =
      cm_event_store_new (fixture->engine->pool, fixture->engine->ids, 1);
  cm_event_unref (cm_event_store_get (store, a->number, NULL));
  spoil_row (fixture, a->number);
  g_autoptr (CmEvent) kept = cm_event_store_get (store, a->number, NULL);
  g_assert_nonnull (kept);
  g_clear_pointer (&kept, cm_event_unref);
  cm_event_unref (cm_event_store_get (store, b->number, NULL));
  g_assert_null (cm_event_store_get (store, a->number, NULL));
}

/* What somebody holds stays, above all what is not in the database yet. */
static void
test_uncommitted_stays (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) a = say (fixture, "a");
  g_autoptr (CmEventStore) store =
      cm_event_store_new (fixture->engine->pool, fixture->engine->ids, 2);
  g_autoptr (CmEvent) pending = fixture_event (
      "11", "$pending", "{'type':'t','sender':'@a:b','content':{},'room_id':'!r:b'}");
  pending->number = 777777;
  cm_event_store_put (store, pending);
  for (gint64 number = 1; number <= a->number; number++)
    cm_event_unref (cm_event_store_get (store, number, NULL));
  g_autoptr (CmEvent) found = cm_event_store_get (store, 777777, &error);
  g_assert_no_error (error);
  g_assert_true (found == pending);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)
  ADD ("/event-store/read-back", test_read_back);
  ADD ("/event-store/many", test_many);
  ADD ("/event-store/unknown", test_unknown);
  ADD ("/event-store/CVE-2024-6300-redaction-leak", test_cve_2024_6300_redaction_leak);
  ADD ("/event-store/CVE-2024-52815-stored-bad-type", test_stored_bad_type);
  ADD ("/event-store/bounded", test_bounded);
  ADD ("/event-store/uncommitted-stays", test_uncommitted_stays);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
