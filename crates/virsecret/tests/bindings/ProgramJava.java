// Java over JNA, with the libraries named, and the error copied, as libvirt-java does it.
//
// usage: ProgramJava URI     Prints what it sees, which is the same whichever library it runs on.

import com.sun.jna.Callback;
import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.nio.charset.StandardCharsets;

public class ProgramJava {
    public interface Quiet extends Callback {
        void invoke(Pointer data, Pointer error);
    }

    @Structure.FieldOrder({
        "code", "domain", "message", "level", "conn", "dom", "str1", "str2", "str3", "int1", "int2", "net"
    })
    public static class Error extends Structure {
        public int code;
        public int domain;
        public String message;
        public int level;
        public Pointer conn;
        public Pointer dom;
        public String str1;
        public String str2;
        public String str3;
        public int int1;
        public int int2;
        public Pointer net;
    }

    public interface Libvirt extends Library {
        int virInitialize();

        void virSetErrorFunc(Pointer data, Quiet function);

        int virCopyLastError(Error error);

        void virResetLastError();

        Pointer virConnectOpen(String uri);

        Pointer virConnectOpenReadOnly(String uri);

        int virConnectClose(Pointer connect);

        String virConnectGetType(Pointer connect);

        int virConnectIsAlive(Pointer connect);

        int virConnectNumOfSecrets(Pointer connect);

        int virConnectListAllDomains(Pointer connect, PointerByReference domains, int flags);

        int virConnectGetCPUModelNames(Pointer connect, String arch, PointerByReference models, int flags);

        Pointer virSecretDefineXML(Pointer connect, String xml, int flags);

        Pointer virSecretLookupByUUIDString(Pointer connect, String uuid);

        int virSecretGetUUIDString(Pointer secret, byte[] text);

        String virSecretGetUsageID(Pointer secret);

        int virSecretSetValue(Pointer secret, byte[] value, long size, int flags);

        Pointer virSecretGetValue(Pointer secret, LongByReference size, int flags);

        int virSecretUndefine(Pointer secret);

        int virSecretFree(Pointer secret);
    }

    public interface Qemu extends Library {
        Pointer virDomainQemuAttach(Pointer connect, int pid, int flags);

        int virDomainQemuMonitorCommand(Pointer domain, String command, PointerByReference answer, int flags);
    }

    public interface Lxc extends Library {
        int virDomainLxcOpenNamespace(Pointer domain, PointerByReference descriptors, int flags);
    }

    static final Libvirt LIBVIRT = Native.load("virt", Libvirt.class);
    static final Qemu QEMU = Native.load("virt-qemu", Qemu.class);
    static final Lxc LXC = Native.load("virt-lxc", Lxc.class);
    static final String UUID = "5ec2e700-0000-4000-8000-0000000000cc";
    static final String XML =
            "<secret><uuid>" + UUID + "</uuid><usage type='iscsi'><target>java</target></usage></secret>";
    static final Quiet QUIET = (data, error) -> {};

    static void show(String what, Object value) {
        Error error = new Error();
        int code = LIBVIRT.virCopyLastError(error);
        String failed = code > 0 ? " error " + code + " " + error.domain + " " + error.level + " " + error.message : "";
        System.out.println(what + ": " + value + failed);
        LIBVIRT.virResetLastError();
    }

    static boolean is(Pointer pointer) {
        return pointer != null;
    }

    public static void main(String[] arguments) {
        LIBVIRT.virInitialize();
        LIBVIRT.virSetErrorFunc(null, QUIET);
        Pointer connect = LIBVIRT.virConnectOpen(arguments[0]);
        show("open", is(connect));
        show("type", LIBVIRT.virConnectGetType(connect));
        show("alive", LIBVIRT.virConnectIsAlive(connect));
        show("no such", is(LIBVIRT.virSecretLookupByUUIDString(connect, UUID)));
        Pointer secret = LIBVIRT.virSecretDefineXML(connect, XML, 0);
        show("define", is(secret));
        byte[] text = new byte[37];
        LIBVIRT.virSecretGetUUIDString(secret, text);
        show("uuid", Native.toString(text));
        show("usage", LIBVIRT.virSecretGetUsageID(secret));
        LongByReference size = new LongByReference(7);
        show("no value yet", is(LIBVIRT.virSecretGetValue(secret, size, 0)));
        byte[] value = "of Java\0 too".getBytes(StandardCharsets.UTF_8);
        show("set", LIBVIRT.virSecretSetValue(secret, value, value.length, 0));
        Pointer read = LIBVIRT.virSecretGetValue(secret, size, 0);
        String got = new String(read.getByteArray(0, (int) size.getValue()), StandardCharsets.UTF_8);
        show("get", got.replace('\0', '0'));
        Native.free(Pointer.nativeValue(read));
        PointerByReference out = new PointerByReference(connect);
        show("domains", LIBVIRT.virConnectListAllDomains(connect, out, 0));
        show("and no list", is(out.getValue()));
        out.setValue(connect);
        show("models", LIBVIRT.virConnectGetCPUModelNames(connect, "x86_64", out, 0));
        show("and no list", is(out.getValue()));
        show("attach", is(QEMU.virDomainQemuAttach(null, 1, 0)));
        show("monitor", QEMU.virDomainQemuMonitorCommand(null, "x", out, 0));
        show("namespace", LXC.virDomainLxcOpenNamespace(null, out, 0));
        show("undefine", LIBVIRT.virSecretUndefine(secret));
        show("free", LIBVIRT.virSecretFree(secret));
        Pointer reader = LIBVIRT.virConnectOpenReadOnly(arguments[0]);
        show("read only", is(LIBVIRT.virSecretDefineXML(reader, XML, 0)));
        show("close", LIBVIRT.virConnectClose(reader));
        show("close", LIBVIRT.virConnectClose(connect));
    }
}
