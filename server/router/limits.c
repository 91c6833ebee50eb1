#include "server/router/limits.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <string.h>

#define SHARDS 16
#define SETS   512
#define WAYS   8

/* Failures count in a class of their own, behind those of the requests. */
#define FAILURES CM_LIMIT_LAST
#define CLASSES  (CM_LIMIT_LAST + 1)

static const CmRate failures_rate = { 0.1, 10 };

/* A token bucket as the time at which it will be full again (the generic cell rate algorithm): one
 * number, which is in the past for every bucket that need not be remembered. */
typedef struct {
  guint64 hash;
  gint64 full_us;
} Bucket;

typedef struct {
  GMutex lock;
  Bucket buckets[SETS][WAYS];
} Shard;

typedef struct {
  gint64 interval_us; /* between tokens, 0: no limit */
  gint64 depth_us;    /* of a full bucket */
} Pace;

struct _CmLimits {
  guint8 key[crypto_shorthash_KEYBYTES];
  gboolean enabled;
  Pace paces[CLASSES];
  Shard shards[SHARDS];
};

static Pace
pace_of (const CmRate *rate)
{
  if (rate->per_second <= 0)
    return (Pace){ 0, 0 };
  /* Within what leaves room for sums in gint64. */
  gint64 interval = (gint64) CLAMP (G_USEC_PER_SEC / rate->per_second, 1, 1e12);
  return (Pace){ interval, (gint64) (interval * CLAMP ((double) rate->burst, 1, 1e6)) };
}

CmLimits *
cm_limits_new (gboolean enabled, const CmRate rates[CM_LIMIT_LAST])
{
  CmLimits *limits = g_new0 (CmLimits, 1);

  limits->enabled = enabled;
  /* A secret key, so that nobody can choose keys that meet in one set. */
  crypto_shorthash_keygen (limits->key);
  for (guint i = 0; i < CM_LIMIT_LAST; i++)
    limits->paces[i] = pace_of (&rates[i]);
  limits->paces[FAILURES] = pace_of (&failures_rate);
  for (guint i = 0; i < SHARDS; i++)
    g_mutex_init (&limits->shards[i].lock);
  return limits;
}

void
cm_limits_free (CmLimits *limits)
{
  if (limits == NULL)
    return;
  for (guint i = 0; i < SHARDS; i++)
    g_mutex_clear (&limits->shards[i].lock);
  g_free (limits);
}

static guint64
hash_of (const CmLimits *limits, guint class, const char *key)
{
  guint64 hash;

  G_STATIC_ASSERT (sizeof hash == crypto_shorthash_BYTES);
  crypto_shorthash ((unsigned char *) &hash, (const unsigned char *) key, strlen (key),
                    limits->key);
  /* 0 marks an empty place. */
  return (hash ^ class * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)) | 1;
}

static Bucket *
find_bucket (Shard *shard, guint64 hash)
{
  Bucket *set = shard->buckets[(hash >> 32) % SETS];
  Bucket *fullest = &set[0];

  for (guint i = 0; i < WAYS; i++) {
    if (set[i].hash == hash)
      return &set[i];
    if (set[i].full_us < fullest->full_us)
      fullest = &set[i];
  }
  *fullest = (Bucket){ hash, 0 };
  return fullest;
}

typedef enum { LIMIT_TAKE, LIMIT_FORCE, LIMIT_LOOK } LimitMode;

static gint64
limits_use (CmLimits *limits, guint class, const char *key, guint tokens, LimitMode mode)
{
  if (limits == NULL || !limits->enabled || limits->paces[class].interval_us == 0)
    return 0;

  const Pace *pace = &limits->paces[class];
  gint64 now_us = g_get_monotonic_time ();
  guint64 hash = hash_of (limits, class, key);
  Shard *shard = &limits->shards[(hash >> 60) % SHARDS];

  g_mutex_lock (&shard->lock);
  Bucket *bucket = find_bucket (shard, hash);
  gint64 full_us = MAX (bucket->full_us, now_us) + tokens * pace->interval_us;
  gint64 excess_us = full_us - now_us - pace->depth_us;
  if (mode == LIMIT_TAKE && excess_us <= 0)
    bucket->full_us = full_us;
  /* A debt of more than a bucket is not kept: it would lock out for ever. */
  if (mode == LIMIT_FORCE)
    bucket->full_us = MIN (full_us, now_us + 2 * pace->depth_us);
  g_mutex_unlock (&shard->lock);
  return excess_us <= 0 ? 0 : excess_us / G_TIME_SPAN_MILLISECOND + 1;
}

gint64
cm_limits_take (CmLimits *limits, CmLimitClass class, const char *key)
{
  g_return_val_if_fail ((guint) class < CM_LIMIT_LAST && key != NULL, 0);

  return limits_use (limits, class, key, 1, LIMIT_TAKE);
}

gint64
cm_limits_look (CmLimits *limits, CmLimitClass class, const char *key)
{
  g_return_val_if_fail ((guint) class < CM_LIMIT_LAST && key != NULL, 0);

  return limits_use (limits, class, key, 1, LIMIT_LOOK);
}

void
cm_limits_charge (CmLimits *limits, CmLimitClass class, const char *key, guint tokens)
{
  g_return_if_fail ((guint) class < CM_LIMIT_LAST && key != NULL);

  /* As large as any bucket can be, for sums in gint64. */
  limits_use (limits, class, key, MIN (tokens, 1000000), LIMIT_FORCE);
}

void
cm_limits_penalise (CmLimits *limits, const char *key)
{
  limits_use (limits, FAILURES, key, 1, LIMIT_FORCE);
}

gint64
cm_limits_penalty (CmLimits *limits, const char *key)
{
  return limits_use (limits, FAILURES, key, 1, LIMIT_LOOK);
}

char *
cm_limits_address_key (const char *address)
{
  struct in6_addr in6;
  char text[INET6_ADDRSTRLEN];

  if (address == NULL || inet_pton (AF_INET6, address, &in6) != 1)
    return g_strdup (address != NULL ? address : "");
  memset (&in6.s6_addr[8], 0, 8);
  inet_ntop (AF_INET6, &in6, text, sizeof text);
  return g_strconcat (text, "/64", NULL);
}
