/* Each transaction once, however often it comes and however many come at a time. */
#include "federation/append.h"

#include "tests/federation/fixture.h"
#include "tests/federation/live-room.h"

#include <signal.h>

static TestCluster *cluster;

static void
set_up (LiveRoom *fixture, gconstpointer version)
{
  live_room_init (fixture, cluster, version);
}

static void
tear_down (LiveRoom *fixture, gconstpointer data)
{
  live_room_clear (fixture);
}

static CmEvent *
send_transaction (LiveRoom *fixture, const char *sender, const char *device, const char *txn_id,
                  GError **error)
{
  g_autoptr (CmJsonDoc) content = fixture_json ("{'body':'hello'}");
  CmDraft draft = {
    .type = "m.room.message",
    .sender = sender,
    .content = cm_json_doc_root (content),
    .txn_device = device,
    .txn_scope = "PUT",
    .txn_id = txn_id,
  };
  return cm_room_append_one (fixture->room, &draft, error);
}

static CmEvent *
send_again (LiveRoom *fixture, const char *sender, const char *device, const char *txn_id)
{
  g_autoptr (GError) error = NULL;
  CmEvent *event = send_transaction (fixture, sender, device, txn_id, &error);
  g_assert_no_error (error);
  return event;
}

/* client-server, "Transaction identifiers": the same answer from memory, and from the database
 * after a restart. */
static void
test_transaction (LiveRoom *fixture, gconstpointer data)
{
  engine_member (fixture->room, BOB, BOB, "join");
  g_autoptr (CmEvent) first = send_again (fixture, ALICE, "A", "1");
  g_autoptr (CmEvent) repeat = send_again (fixture, ALICE, "A", "1");
  g_autoptr (CmEvent) device = send_again (fixture, ALICE, "B", "1"),
                      user = send_again (fixture, BOB, "A", "1"),
                      id = send_again (fixture, ALICE, "A", "2");
  g_assert_cmpstr (repeat->event_id, ==, first->event_id);
  g_assert_cmpstr (device->event_id, !=, first->event_id);
  g_assert_cmpstr (user->event_id, !=, first->event_id);
  g_assert_cmpstr (id->event_id, !=, first->event_id);
  live_room_restart (fixture);
  g_autoptr (CmEvent) late = send_again (fixture, ALICE, "A", "1");
  g_assert_cmpstr (late->event_id, ==, first->event_id);
  g_assert_cmpint (late->position, ==, first->position);
  g_assert_cmpint (
      live_room_count (fixture,
                       "event WHERE type = (SELECT id FROM sym WHERE text = 'm.room.message')"),
      ==, 4);
  /* The failed write took the room out of memory; what comes next loads it anew. */
  g_autoptr (CmEvent) next = live_room_say (fixture, ALICE, "next");
  g_assert_cmpint (next->depth, ==, id->depth + 1);
}

static void
test_refused_transaction_may_be_tried_again (LiveRoom *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (send_transaction (fixture, BOB, "A", "1", &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  engine_member (fixture->room, BOB, BOB, "join");
  g_autoptr (CmEvent) event = send_again (fixture, BOB, "A", "1");
}

typedef struct {
  LiveRoom *fixture;
  const char *device;
  const char *txn_id; /* NULL: each its own */
  GPtrArray *ids;
} Sender;

static gpointer
send_many (gpointer data)
{
  Sender *sender = data;
  for (guint i = 0; i < 40; i++) {
    g_autofree char *own = g_strdup_printf ("own-%u", i);
    g_autoptr (CmEvent) event = send_again (sender->fixture, ALICE, sender->device,
                                            sender->txn_id != NULL ? sender->txn_id : own);
    g_ptr_array_add (sender->ids, g_strdup (event->event_id));
  }
  return NULL;
}

static void
run_senders (LiveRoom *fixture, Sender *senders, guint n)
{
  g_autoptr (GPtrArray) threads = g_ptr_array_new ();
  for (guint i = 0; i < n; i++) {
    senders[i].fixture = fixture;
    senders[i].ids = g_ptr_array_new_with_free_func (g_free);
    g_ptr_array_add (threads, g_thread_new ("sender", send_many, &senders[i]));
  }
  for (guint i = 0; i < n; i++)
    g_thread_join (threads->pdata[i]);
}

/* However many send at once, the room is one chain. */
static void
test_concurrent (LiveRoom *fixture, gconstpointer data)
{
  Sender senders[] = { { .device = "A" }, { .device = "B" }, { .device = "C" }, { .device = "D" } };
  run_senders (fixture, senders, G_N_ELEMENTS (senders));
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_cmpuint (view->extremities->len, ==, 1);
  engine_assert_value (fixture->engine, "160",
                       "SELECT count (DISTINCT depth) FROM event WHERE depth > 4");
  engine_assert_value (fixture->engine, "160", "SELECT count (*) FROM client_transaction");
  /* In one room, positions ascend as depths do. */
  engine_assert_value (fixture->engine, "0",
                       "SELECT count (*) FROM event a JOIN event b ON a.depth < b.depth AND "
                       "a.position > b.position");
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++)
    g_ptr_array_unref (senders[i].ids);
}

static void
test_concurrent_transaction (LiveRoom *fixture, gconstpointer data)
{
  Sender senders[] = { { .device = "A", .txn_id = "1" },
                       { .device = "A", .txn_id = "1" },
                       { .device = "A", .txn_id = "1" } };
  run_senders (fixture, senders, G_N_ELEMENTS (senders));
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++) {
    for (guint j = 0; j < senders[i].ids->len; j++)
      g_assert_cmpstr (senders[i].ids->pdata[j], ==, senders[0].ids->pdata[0]);
  }
  g_assert_cmpint (live_room_count (fixture, "event WHERE depth > 4"), ==, 1);
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++)
    g_ptr_array_unref (senders[i].ids);
}

/* Repeats of forgotten transactions among other sends: each of them makes a write fail, and takes
 * nobody else's event with it. */
static void
test_repeats_hurt_nobody (LiveRoom *fixture, gconstpointer data)
{
  {
    Sender first[] = { { .device = "OLD" } };
    run_senders (fixture, first, 1);
    g_ptr_array_unref (first[0].ids);
  }
  live_room_restart (fixture);
  Sender senders[] = { { .device = "OLD" }, { .device = "A" }, { .device = "B" } };
  run_senders (fixture, senders, G_N_ELEMENTS (senders));
  engine_assert_value (fixture->engine, "120", "SELECT count (*) FROM client_transaction");
  g_assert_cmpint (live_room_count (fixture, "event WHERE depth > 4"), ==, 120);
  engine_assert_value (fixture->engine, "120",
                       "SELECT count (DISTINCT depth) FROM event WHERE depth > 4");
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++)
    g_ptr_array_unref (senders[i].ids);
}

/* As a client does: again with the same id until it gets an answer. */
static gpointer
send_through_crashes (gpointer data)
{
  Sender *sender = data;
  for (guint i = 0; i < 60; i++) {
    g_autofree char *txn_id = g_strdup_printf ("m%u", i);
    g_autoptr (CmEvent) event = NULL;
    while (event == NULL) {
      g_autoptr (GError) error = NULL;
      event = send_transaction (sender->fixture, ALICE, sender->device, txn_id, &error);
      if (event == NULL)
        g_assert_cmpuint (cm_error_status (error->code), ==, 503);
    }
    g_ptr_array_add (sender->ids, g_strdup (event->event_id));
  }
  return NULL;
}

/* PostgreSQL is killed under load: all that was acknowledged is there, each once, in one chain. */
static void
test_database_killed (LiveRoom *fixture, gconstpointer data)
{
  Sender senders[] = { { .device = "A" }, { .device = "B" }, { .device = "C" } };
  GThread *threads[G_N_ELEMENTS (senders)];
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++) {
    senders[i].fixture = fixture;
    senders[i].ids = g_ptr_array_new_with_free_func (g_free);
    threads[i] = g_thread_new ("sender", send_through_crashes, &senders[i]);
  }
  for (guint i = 0; i < 3; i++) {
    g_usleep (30 * G_TIME_SPAN_MILLISECOND);
    test_cluster_signal (cluster, SIGKILL);
  }
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++)
    g_thread_join (threads[i]);
  engine_assert_value (fixture->engine, "180", "SELECT count (*) FROM event WHERE depth > 4");
  engine_assert_value (fixture->engine, "180",
                       "SELECT count (DISTINCT depth) FROM event WHERE depth > 4");
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++) {
    for (guint j = 0; j < senders[i].ids->len; j++)
      engine_assert_value (fixture->engine, "1",
                           "SELECT count (*) FROM event WHERE event_id = '%s'",
                           (char *) senders[i].ids->pdata[j]);
    g_ptr_array_unref (senders[i].ids);
  }
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, func)                                                                            \
  g_test_add ("/append-transaction/" path, LiveRoom, NULL, set_up, func, tear_down)
  ADD ("transaction", test_transaction);
  ADD ("refused-transaction-may-be-tried-again", test_refused_transaction_may_be_tried_again);
  ADD ("concurrent", test_concurrent);
  ADD ("concurrent-transaction", test_concurrent_transaction);
  ADD ("repeats-hurt-nobody", test_repeats_hurt_nobody);
  ADD ("database-killed", test_database_killed);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
