/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images in the form that docker.io made the standard
 * (https://github.com/distribution/reference, "Grammar"). */
#include "base/str.h"
#include <cstorage/import.h>

#define NAME_MAX_LENGTH 255
#define TAG_MAX_LENGTH  128

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* The length of one separator between two parts of a path component: ".", "_", "__" or any number
 * of "-". */
static size_t separator_length(const char *s, size_t n)
{
	if (s[0] == '.')
		return 1;
	if (s[0] == '_')
		return n > 1 && s[1] == '_' ? 2 : 1;
	size_t dashes = 0;
	while (dashes < n && s[dashes] == '-')
		dashes++;
	return dashes;
}

static bool is_path_component(const char *s, size_t n)
{
	size_t i = 0;
	for (;;) {
		size_t start = i;
		while (i < n && is_lower_alnum(s[i]))
			i++;
		if (i == start)
			return false;
		if (i == n)
			return true;
		size_t separator = separator_length(s + i, n - i);
		if (!separator)
			return false;
		i += separator;
	}
}

static bool is_path(const char *s, size_t n)
{
	const char *end = s + n;
	for (;;) {
		const char *slash = memchr(s, '/', (size_t)(end - s));
		if (!is_path_component(s, (size_t)((slash ? slash : end) - s)))
			return false;
		if (!slash)
			return true;
		s = slash + 1;
	}
}

static bool is_domain(const char *s, size_t n)
{
	const char *colon = memchr(s, ':', n);
	size_t host = colon ? (size_t)(colon - s) : n;
	for (size_t i = host + 1; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	if (!host || host + 1 == n)
		return false;
	for (size_t i = 0; i < host; i++) {
		bool edge = i == 0 || i + 1 == host || s[i - 1] == '.' || s[i + 1] == '.';
		if (!is_alnum(s[i]) && (edge || (s[i] != '.' && s[i] != '-')))
			return false;
	}
	return true;
}

static bool is_tag(const char *s)
{
	size_t n = strlen(s);
	if (!n || n > TAG_MAX_LENGTH || s[0] == '.' || s[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_alnum(s[i]) && s[i] != '_' && s[i] != '.' && s[i] != '-')
			return false;
	return true;
}

/* How much of the name is a registry: up to the first slash, if that looks like a host. 0: none of
 * it. */
static size_t domain_length(const char *name)
{
	const char *slash = strchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : 0;
	if (!n)
		return 0;
	bool upper = false, host = false;
	for (size_t i = 0; i < n; i++) {
		upper = upper || (name[i] >= 'A' && name[i] <= 'Z');
		host = host || name[i] == '.' || name[i] == ':';
	}
	bool local = n == strlen("localhost") && strncmp(name, "localhost", n) == 0;
	return host || upper || local ? n : 0;
}

static bool is_hex64(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static int not_a_name(const char *name, const char *why, cst_error **error)
{
	return error_set(error, CST_EINVAL, "\"%s\" cannot be the name of an image: %s", name, why);
}

int cst_image_name_normalise(const char *name, char **full, cst_error **error)
{
	if (isempty(name))
		return not_a_name("", "it is empty", error);
	if (is_hex64(name))
		return not_a_name(name, "it looks like an ID", error);
	if (strchr(name, '@'))
		return not_a_name(name, "a digest names content, give a tag", error);
	size_t domain = domain_length(name);
	const char *path = domain ? name + domain + 1 : name;
	const char *slash = strrchr(path, '/'), *tag = strchr(slash ? slash : path, ':');
	size_t path_length = tag ? (size_t)(tag - path) : strlen(path);
	if (domain && !is_domain(name, domain))
		return not_a_name(name, "the part up to the first / is not a registry's", error);
	if (!is_path(path, path_length))
		return not_a_name(name,
		                  "it takes lower-case letters and digits, with single . _ / or - "
		                  "between them",
		                  error);
	if (tag && !is_tag(tag + 1))
		return not_a_name(name,
		                  "what follows the last : is not a tag of letters, digits, . _ "
		                  "and -",
		                  error);
	bool docker = !domain ||
	              (domain == strlen("index.docker.io") && has_prefix(name, "index.docker.io/"));
	bool at_docker =
	        docker || (domain == strlen("docker.io") && has_prefix(name, "docker.io/"));
	_cleanup_free_ char *registry = docker ? strdup("docker.io") : strndup(name, domain);
	if (!registry)
		return error_oom(error);
	bool official = at_docker && !memchr(path, '/', path_length);
	char *result = str_printf("%s/%s%.*s:%s", registry, official ? "library/" : "",
	                          (int)path_length, path, tag ? tag + 1 : "latest");
	if (!result)
		return error_oom(error);
	if (strlen(result) > NAME_MAX_LENGTH) {
		free(result);
		return not_a_name(name, "it is longer than 255 bytes", error);
	}
	*full = result;
	return 0;
}
