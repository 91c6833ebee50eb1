/* An event: its exact bytes, its nodes, its id, and (once it has a place in this node's store) its
 * numbers. Immutable and reference-counted; a redaction puts a new CmEvent in the store's cache
 * rather than change this one. */
#pragma once

#include "crypto/ed25519.h"
#include "crypto/json-writer.h"
#include "federation/room-version.h"

G_BEGIN_DECLS

#define CM_EVENT_MAX_BYTES       65536
#define CM_EVENT_MAX_PREV_EVENTS 20
#define CM_EVENT_MAX_AUTH_EVENTS 10

/* As in event.flags. */
typedef enum {
  CM_EVENT_REJECTED = 1,
  CM_EVENT_SOFT_FAILED = 2,
  CM_EVENT_OUTLIER = 4,
  CM_EVENT_REDACTED = 8,
  CM_EVENT_HAS_RELATION = 16,
} CmEventFlags;

typedef struct _CmEvent CmEvent;
struct _CmEvent {
  gatomicrefcount refs;
  const CmRoomVersion *version;
  CmJsonDoc *doc;
  const CmJson *json; /* doc's root; the pruned form when CM_EVENT_REDACTED */
  GBytes *bytes;      /* canonical bytes of json */
  char *event_id;
  char *room_id;    /* of a version 12 create: made from its hash */
  const char *type; /* these point into doc */
  const char *sender;
  const char *state_key; /* NULL: not a state event */
  const char *redacts; /* of an m.room.redaction, from the right place for the version; else NULL */
  const CmJson *content;
  gint64 depth;
  gint64 origin_server_ts;

  /* The place in this node's store; 0 for an event that was never stored. */
  gint64 number;   /* greater than those of its auth events: state resolution relies on it */
  gint64 position; /* 0 while it is not committed, or none (outlier, rejected): the one member that
                      is set after sharing, see cm_event_set_position */
  gint64 state_before;
  gint64 state_after;
  guint32 type_sym;
  guint32 state_key_sym; /* 0: not a state event */
  guint32 sender_sym;
  guint32 room_sym;
  CmEventFlags flags;
  GArray *auth;           /* of gint64: numbers of the auth events */
  GArray *prev;           /* of gint64: numbers of the known prev events */
  char *redacted_because; /* event id of the redaction, or NULL */
};

/**
 * cm_event_parse: an event as it came from anywhere: @json is copied in canonical form, without its
 * "unsigned", which proves nothing and must not be passed on (take invite_room_state and its like
 * from @json itself).
 *
 * Checks format only ("Checks performed on receipt of a PDU", 1, and the size limits of
 * client-server "Size limits"): canonical JSON, fields, types, id grammar, 65,536 bytes, 255 bytes
 * a field, counts of prev and auth events. Works out event id and room id. Errors:
 * CM_ERROR_BAD_JSON, CM_ERROR_TOO_LARGE.
 */
CmEvent *cm_event_parse (const CmRoomVersion *version, const CmJson *json, GError **error);
/* From stored bytes, which are trusted. @event_id as stored. Errors: CM_ERROR_NOT_JSON,
 * CM_ERROR_BAD_JSON when type, sender, content or room_id is missing. */
CmEvent *
cm_event_load (const CmRoomVersion *version, GBytes *bytes, const char *event_id, GError **error);

CmEvent *cm_event_ref (CmEvent *event);
void cm_event_unref (CmEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmEvent, cm_event_unref)

/* The position of an event that may be under way still: 0 until it is committed. */
static inline gint64
cm_event_position (const CmEvent *event)
{
  return __atomic_load_n (&event->position, __ATOMIC_ACQUIRE);
}

/* Once an event is committed: before anybody is told of it, and by whoever reads its row before
 * that was done. Any thread; it is always the same, and written once. */
static inline void
cm_event_set_position (CmEvent *event, gint64 position)
{
  if (cm_event_position (event) != position)
    __atomic_store_n (&event->position, position, __ATOMIC_RELEASE);
}

gboolean cm_event_is (const CmEvent *event, const char *type, const char *state_key);
/* content.membership of an m.room.member event, else NULL. */
const char *cm_event_membership (const CmEvent *event);

/**
 * cm_event_build: hashes and signs a new event.
 * @object: all members but hashes and signatures.
 */
CmEvent *cm_event_build (const CmRoomVersion *version, const CmJson *object,
                         const char *server_name, const CmSigningKey *key, GError **error);
/* Adds this server's signature to an event of another's (invites, joins): a new CmEvent of the same
 * id. */
CmEvent *cm_event_countersign (const CmEvent *event, const char *server_name,
                               const CmSigningKey *key, GError **error);

/* The pruned form of @event (room version's redaction algorithm), same id and numbers, flagged;
 * @because the redaction's id (nullable). */
CmEvent *cm_event_redact (const CmEvent *event, const char *because, GError **error);

/* server-server "Checks performed on receipt of a PDU", 3: TRUE when the content hash agrees. */
gboolean cm_event_hash_matches (const CmEvent *event);
/* The canonical bytes that signatures of events cover: of the pruned event, without signatures and
 * unsigned. */
GBytes *cm_event_signed_payload (const CmEvent *event);

/* How an event is shown. CM_FORMAT_CLIENT has event_id, no hashes, signatures, auth_events,
 * prev_events and depth. */
typedef enum {
  CM_FORMAT_CLIENT,
  CM_FORMAT_CLIENT_NO_ROOM_ID,
  CM_FORMAT_FEDERATION,
  CM_FORMAT_STRIPPED
} CmEventFormat;
/* Writes @event as the value of @key. @unsigned_members: (nullable) an object that goes in as
 * "unsigned" (age, transaction_id, redacted_because, prev_content, membership, m.relations...).
 * Client formats hold only the members that the client-server API knows. */
void cm_event_write (CmJsonWriter *writer, const char *key, const CmEvent *event,
                     CmEventFormat format, const CmJson *unsigned_members);

G_END_DECLS
