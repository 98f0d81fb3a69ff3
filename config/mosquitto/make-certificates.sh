#!/bin/sh
# make-certificates.sh DIR ca [NAME]            an authority of the site's own: DIR/ca.crt, DIR/ca.key
# make-certificates.sh DIR broker HOST...       the broker's: DIR/broker.crt, DIR/broker.key; names and addresses
# make-certificates.sh DIR client USER          a client's: DIR/USER.crt, DIR/USER.key; USER is its name at the broker
#
# Nothing that is there is overwritten. DAYS in the environment says how long a certificate holds (broker and clients
# 825, the authority 3650). ca.key signs whatever it is asked to: keep it off the broker's computer.
set -eu

fail() {
    echo "make-certificates.sh: $1" >&2
    exit 1
}

usage() {
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
}

[ $# -ge 2 ] || usage
folder=$1
what=$2
shift 2
command -v openssl > /dev/null || fail "openssl is missing: apt-get install openssl"
umask 077
mkdir -p "$folder"

# NAME: a key and a request on the way, so that whatever fails leaves nothing behind
begin() {
    [ ! -e "$folder/$1.crt" ] || fail "$folder/$1.crt is there already"
    [ ! -e "$folder/$1.key" ] || fail "$folder/$1.key is there already"
    work=$(mktemp -d "$folder/.new.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/key" 2> "$work/said" || say
}

say() {
    fail "openssl said: $(head -n 1 "$work/said")"
}

# NAME: keep what was made. Certificates are public, keys are not.
keep() {
    chmod 644 "$work/crt"
    mv "$work/key" "$folder/$1.key"
    mv "$work/crt" "$folder/$1.crt"
    echo "$folder/$1.crt"
}

# NAME COMMON-NAME EXTENSIONS: signed by the authority
sign() {
    [ -e "$folder/ca.crt" ] && [ -e "$folder/ca.key" ] || fail "there is no authority in $folder: $0 $folder ca"
    begin "$1"
    printf '%s\n' '[req]' 'prompt = no' 'distinguished_name = name' '[name]' "CN = $2" '[with]' \
        'basicConstraints = critical, CA:FALSE' 'keyUsage = critical, digitalSignature' \
        'subjectKeyIdentifier = hash' 'authorityKeyIdentifier = keyid' "$3" > "$work/form"
    openssl req -new -utf8 -config "$work/form" -key "$work/key" -out "$work/csr" 2> "$work/said" || say
    openssl x509 -req -in "$work/csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -sha256 -days "${DAYS:-825}" \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/form" -extensions with -out "$work/crt" \
        2> "$work/said" || say
    keep "$1"
}

is_address() {
    case $1 in
        *:*) return 0 ;;
        *[!0-9.]*) return 1 ;;
        *.*.*.*) return 0 ;;
        *) return 1 ;;
    esac
}

case $what in
    ca)
        begin ca
        printf '%s\n' '[req]' 'prompt = no' 'distinguished_name = name' '[name]' "CN = ${1:-edged site authority}" \
            '[with]' 'basicConstraints = critical, CA:TRUE, pathlen:0' 'keyUsage = critical, keyCertSign, cRLSign' \
            'subjectKeyIdentifier = hash' > "$work/form"
        openssl req -x509 -new -utf8 -config "$work/form" -extensions with -key "$work/key" -sha256 \
            -days "${DAYS:-3650}" -out "$work/crt" 2> "$work/said" || say
        keep ca
        ;;
    broker)
        [ $# -ge 1 ] || usage
        names=
        for host in "$@"; do
            case $host in
                *[!A-Za-z0-9.:_-]* | '') fail "$host is no name and no address" ;;
            esac
            if is_address "$host"; then kind=IP; else kind=DNS; fi
            names="${names:+$names, }$kind:$host"
        done
        sign broker "$1" "extendedKeyUsage = serverAuth
subjectAltName = $names"
        ;;
    client)
        [ $# -eq 1 ] || usage
        case $1 in
            *[!A-Za-z0-9._-]* | '' | .* | ca | broker) fail "a user is a word of letters, digits, . _ and -, not $1" ;;
        esac
        sign "$1" "$1" "extendedKeyUsage = clientAuth"
        ;;
    *)
        usage
        ;;
esac
