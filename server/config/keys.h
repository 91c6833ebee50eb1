/* The table behind CmConfig, for the files of this folder. */
#pragma once

#include "server/config/config.h"

G_BEGIN_DECLS

typedef enum {
  CM_CONFIG_TEXT,   /* char *, NULL when empty */
  CM_CONFIG_NAME,   /* char *, a server name */
  CM_CONFIG_NAMES,  /* char **, server names */
  CM_CONFIG_URL,    /* char *, http or https, slashes at its end cut */
  CM_CONFIG_PATH,   /* char *, absolute */
  CM_CONFIG_FILE,   /* char *, absolute, must be there */
  CM_CONFIG_FILES,  /* char **, likewise */
  CM_CONFIG_FLAG,   /* gboolean */
  CM_CONFIG_NUMBER, /* gint64 from min to max */
  CM_CONFIG_SIZE,   /* gint64 from min to max, written 50M */
  CM_CONFIG_PORT,   /* guint16 */
  CM_CONFIG_CHOICE, /* an enum: the place in choices */
  CM_CONFIG_SERVE,  /* CmServe */
  CM_CONFIG_MAP,    /* GHashTable *, server name -> host:port */
  CM_CONFIG_RANGES, /* GPtrArray * of GInetAddressMask */
  CM_CONFIG_RATE,   /* CmRate, written per_second;burst */
  CM_CONFIG_LAST
} CmConfigType;

typedef struct {
  const char *group; /* "listen" stands for each [listen NAME] */
  const char *key;
  CmConfigType type;
  const char *fallback; /* as it would stand in the file; NULL: none */
  gsize offset;         /* into CmConfig, or into CmListener for "listen" */
  const char *help;
  gboolean required;
  gint64 min;
  gint64 max;
  const char *const *choices;
} CmConfigKey;

/* In the order of the generated file; ends with a row of NULLs. */
extern const CmConfigKey cm_config_keys[];

/* What stands above each group in the generated file. */
typedef struct {
  const char *group;
  const char *help;
} CmConfigGroup;
extern const CmConfigGroup cm_config_groups[];

const CmConfigKey *cm_config_key_find (const char *group, const char *key);

/* Reads the value of @key in @group of @file into its place in @base. CM_ERROR_CONFIG with a
 * message for [group] key. */
gboolean cm_config_value_read (GKeyFile *file, const char *group, const CmConfigKey *key,
                               gpointer base, GError **error);
void cm_config_value_clear (const CmConfigKey *key, gpointer base);

/* Faults that lie between keys; one line each is added to @faults. */
void cm_config_check (const CmConfig *config, GString *faults);

G_END_DECLS
