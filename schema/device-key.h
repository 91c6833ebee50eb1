/* Public keys of this server's devices: identity keys, one-time keys, fallback keys. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* Adds the signed identity keys of a device to @write. */
void cm_device_keys_put (CmWrite *write, const char *user_id, const char *device_id, GBytes *keys,
                         gint64 offset);
/* Adds a one-time key; one of the same id that is there already stays. */
void cm_one_time_key_put (CmWrite *write, const char *user_id, const char *device_id,
                          const char *algorithm, const char *key_id, GBytes *key);
/* Adds or replaces the fallback key of an algorithm; unused from now on when it is another one. */
void cm_fallback_key_put (CmWrite *write, const char *user_id, const char *device_id,
                          const char *algorithm, const char *key_id, GBytes *key);
/* Adds that a device's keys and mailbox are gone. */
void cm_device_keys_delete (CmWrite *write, const char *user_id, const char *device_id);

/* Rows of (user_id, device_id, keys, display_name), in this order, of devices that have keys. */
CmRows *cm_device_keys_find (CmDb *db, char **user_ids, GError **error);
/* One row of (keys, display_name), or none. */
CmRows *cm_device_key_find (CmDb *db, const char *user_id, const char *device_id, GError **error);
/* Rows of (algorithm, key_id, key): the one-time keys of a device among @key_ids (strv, without
 * algorithm). */
CmRows *cm_one_time_keys_find (CmDb *db, const char *user_id, const char *device_id, char **key_ids,
                               GError **error);

/* Keys that are wanted: the i-th texts of three lists (strv) of one length. */
typedef struct {
  char **user_ids;
  char **device_ids;
  char **algorithms;
} CmKeyClaim;

/* Gives out one key for each of @claim, where there is one: rows of (user_id, device_id, algorithm,
 * key_id, key). One-time keys are deleted by the same statement, so that each leaves at most once;
 * fallback keys, for those who got none of them, stay. */
CmRows *cm_one_time_keys_claim (CmDb *db, const CmKeyClaim *claim, GError **error);
CmRows *cm_fallback_keys_claim (CmDb *db, const CmKeyClaim *claim, GError **error);

/* Rows of (algorithm, count) of one-time keys, and of (algorithm) of unused fallback keys. */
CmRows *
cm_one_time_keys_count (CmDb *db, const char *user_id, const char *device_id, GError **error);
CmRows *
cm_fallback_keys_unused (CmDb *db, const char *user_id, const char *device_id, GError **error);

G_END_DECLS
