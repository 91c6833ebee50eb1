/* How many messages a second the room engine stores: 50 threads in 10 rooms, each waiting for its
 * answer, PostgreSQL with fsync beside it. Run it by itself: meson test --benchmark append. */
#include "tests/federation/engine-fixture.h"
#include "tests/federation/fixture.h"

#define ROOMS   10
#define THREADS 50
#define SECONDS 5

typedef struct {
  CmRoom *room;
  guint number;
  GArray *latencies; /* of gint64, us */
} Sender;

static gint running = TRUE;

static gpointer
send_until_told (gpointer data)
{
  Sender *sender = data;
  g_autoptr (CmJsonDoc) content =
      fixture_json ("{'msgtype':'m.text','body':'The quick brown fox jumps over the lazy dog.'}");
  g_autofree char *device = g_strdup_printf ("DEVICE%u", sender->number);
  for (guint i = 0; g_atomic_int_get (&running); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *txn_id = g_strdup_printf ("m%u", i);
    CmDraft draft = {
      .type = "m.room.message",
      .sender = ALICE,
      .content = cm_json_doc_root (content),
      .txn_device = device,
      .txn_scope = "PUT m.room.message",
      .txn_id = txn_id,
    };
    gint64 start = g_get_monotonic_time ();
    g_autoptr (CmEvent) event = cm_room_append_one (sender->room, &draft, &error);
    g_assert_no_error (error);
    gint64 latency = g_get_monotonic_time () - start;
    g_array_append_val (sender->latencies, latency);
  }
  return NULL;
}

static int
ascending (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return x < y ? -1 : x > y;
}

static void
report (const GArray *latencies, gint64 elapsed)
{
  const gint64 *values = (const gint64 *) latencies->data;
  guint n = latencies->len;
  g_print ("%u events in %.1f s: %.0f a second; p50 %.1f ms, p95 %.1f ms, p99 %.1f ms\n", n,
           (double) elapsed / G_USEC_PER_SEC, (double) n * G_USEC_PER_SEC / (double) elapsed,
           (double) values[n / 2] / 1000, (double) values[n * 95 / 100] / 1000,
           (double) values[n * 99 / 100] / 1000);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  g_autoptr (TestCluster) cluster = test_cluster_new ();
  g_autoptr (Engine) engine = engine_new (cluster);
  CmRoom *rooms[ROOMS];
  Sender senders[THREADS];
  GThread *threads[THREADS];
  for (guint i = 0; i < ROOMS; i++)
    rooms[i] = engine_room (engine, CM_ROOM_VERSION_DEFAULT, ALICE);
  gint64 start = g_get_monotonic_time ();
  for (guint i = 0; i < THREADS; i++) {
    senders[i] = (Sender){ rooms[i % ROOMS], i, g_array_new (FALSE, FALSE, sizeof (gint64)) };
    threads[i] = g_thread_new ("sender", send_until_told, &senders[i]);
  }
  g_usleep (SECONDS * G_USEC_PER_SEC);
  g_atomic_int_set (&running, FALSE);
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < THREADS; i++) {
    g_thread_join (threads[i]);
    g_array_append_vals (all, senders[i].latencies->data, senders[i].latencies->len);
    g_array_unref (senders[i].latencies);
  }
  gint64 elapsed = g_get_monotonic_time () - start;
  g_array_sort (all, ascending);
  report (all, elapsed);
  for (guint i = 0; i < ROOMS; i++)
    cm_room_unref (rooms[i]);
  return 0;
}
